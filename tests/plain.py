"""PixelCNN++ and its likelihood once more, slow and plain: written from the paper, sharing only the weights.

Nothing here is imported from the package. The network is `F.conv2d` on explicitly padded features; the
likelihood is loops over pixels, channels and mixture components, with plain differences of the logistic
distribution function.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F


def weights(layer):
    """g v / |v| and the bias."""
    length = (layer.direction**2).sum(dim=(1, 2, 3), keepdim=True).sqrt()
    return layer.gain.reshape(-1, 1, 1, 1) * layer.direction / length, layer.bias


def convolve(x, layer, stream, stride=1):
    """A convolution whose kernel ends at the current row (vertical), or at the current pixel (horizontal)."""
    kernel, bias = weights(layer)
    rows, columns = kernel.shape[-2:]
    left = (columns - 1) // 2 if stream == "vertical" else columns - 1
    right = columns - 1 - left
    n, channels, height, width = x.shape
    padded = x.new_zeros(n, channels, height + rows - 1, width + columns - 1)
    padded[:, :, rows - 1 :, left : padded.shape[-1] - right] = x
    return F.conv2d(padded, kernel, bias, stride)


def shift_down(x):
    return torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, :-1]], dim=2)


def shift_right(x):
    return torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], dim=3)


def upsample(x, layer, stream, size):
    """Every low-resolution pixel paints its kernel into an image of twice the size."""
    kernel, bias = weights(layer)
    n, channels, height, width = x.shape
    canvas = x.new_zeros(n, channels, 2 * height + 1, 2 * width + 2) + bias.reshape(-1, 1, 1)
    for row in range(kernel.shape[2]):
        for column in range(kernel.shape[3]):
            painted = torch.einsum("nihw,oi->nohw", x, kernel[:, :, row, column])
            canvas[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2] += painted
    left = 1 if stream == "vertical" else 0
    return canvas[:, :, : size[0], left : left + size[1]]


def concat_elu(x):
    return torch.cat([F.elu(x), F.elu(-x)], dim=1)


def forward(network, images, bias=None):
    """The network's outputs (N, n_outputs, H, W) for images (N, C, H, W) with values from -1 to 1.

    `bias(name, stream, stage, block)` is what the class adds there: (N, F, 1, 1), or None.
    """

    def enter(x, *place):
        added = bias(*place) if bias is not None else None
        return x if added is None else x + added

    def gate(block, stream, stage, number, x, shortcut=None):
        hidden = enter(convolve(concat_elu(x), block.first.conv, stream), "first", stream, stage, number)
        if shortcut is not None:
            hidden = hidden + convolve(concat_elu(shortcut), block.shortcut, "horizontal")
        hidden = convolve(concat_elu(hidden), block.second.conv, stream)
        a, b = enter(hidden, "second", stream, stage, number).chunk(2, dim=1)
        return x + a * torch.sigmoid(b)

    marked = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    v = shift_down(convolve(marked, network.above.conv, "vertical"))
    h = shift_down(convolve(marked, network.row_above.conv, "vertical"))
    h = h + shift_right(convolve(marked, network.left.conv, "horizontal"))
    v, h = enter(v, "input", "vertical", 0, 0), enter(h, "input", "horizontal", 0, 0)

    stack, sizes = [(v, h)], []
    for number, stage in enumerate(network.down):
        if number > 0:
            v = convolve(v, stage.resize[0].conv, "vertical", stride=2)
            h = convolve(h, stage.resize[1].conv, "horizontal", stride=2)
            stack.append((v, h))
        sizes.append(v.shape[-2:])
        for block in range(len(stage.vertical)):
            v = gate(stage.vertical[block], "vertical", number, block, v)
            h = gate(stage.horizontal[block], "horizontal", number, block, h, v)
            stack.append((v, h))

    v, h = stack.pop()
    for number, stage in enumerate(network.up, start=3):
        if number > 3:
            v = upsample(v, stage.resize[0].conv, "vertical", sizes[5 - number])
            h = upsample(h, stage.resize[1].conv, "horizontal", sizes[5 - number])
        for block in range(len(stage.vertical)):
            v_down, h_down = stack.pop()
            v = gate(stage.vertical[block], "vertical", number, block, v, v_down)
            h = gate(stage.horizontal[block], "horizontal", number, block, h, torch.cat([v, h_down], dim=1))
    assert not stack
    h = enter(h, "head", "horizontal", 5, 0)
    return convolve(F.elu(h), network.head, "horizontal")


def sigmoid(x):
    return 1 / (1 + np.exp(-x)) if x >= 0 else np.exp(x) / (1 + np.exp(x))


def colour_log_prob(parameters, colour, n_mixtures, n_levels):
    """Log-probability of one pixel's levels, (C,), given its parameters, in long doubles."""
    parameters = [np.longdouble(value) for value in parameters]
    n_channels = len(colour)
    n_couplings = n_channels * (n_channels - 1) // 2
    logits = parameters[:n_mixtures]
    means, log_scales, couplings = (
        parameters[start : start + count]
        for start, count in (
            (n_mixtures, n_mixtures * n_channels),
            (n_mixtures * (1 + n_channels), n_mixtures * n_channels),
            (n_mixtures * (1 + 2 * n_channels), n_mixtures * n_couplings),
        )
    )
    half_bin = np.longdouble(1) / (n_levels - 1)
    values = [2 * half_bin * int(level) - 1 for level in colour]
    total, normaliser = np.longdouble(0), sum(np.exp(logit) for logit in logits)
    for m in range(n_mixtures):
        product = np.exp(logits[m]) / normaliser
        pairs = iter(couplings[m * n_couplings : (m + 1) * n_couplings])
        for c in range(n_channels):
            mean = means[m * n_channels + c] + sum(np.tanh(next(pairs)) * values[j] for j in range(c))
            scale = np.exp(log_scales[m * n_channels + c]) + half_bin / 8
            above = 1 if colour[c] == n_levels - 1 else sigmoid((values[c] + half_bin - mean) / scale)
            below = 0 if colour[c] == 0 else sigmoid((values[c] - half_bin - mean) / scale)
            product = product * (above - below)
        total = total + product
    return float(np.log(total))


def image_log_prob(parameters, levels, n_mixtures, n_levels):
    """Log-probability of one image, levels (C, H, W), given parameters (n_outputs, H, W)."""
    _, height, width = levels.shape
    return math.fsum(
        colour_log_prob(parameters[:, i, j].tolist(), levels[:, i, j].tolist(), n_mixtures, n_levels)
        for i in range(height)
        for j in range(width)
    )
