"""The scikit-learn estimator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .._common.validation import both_sides, check_parameters, listed, shortened, sides, whole
from ..backends.device import resolve_device
from ..backends.random_numbers import DrawingFrom
from ..bayes.calibration import fit_temperature
from ..bayes.posterior import joint_log_prob, log_marginal, log_posterior
from ..bayes.priors import class_prior, priors_in_order
from ..conditioners import Conditioner, make_conditioner
from ..errors import ConditionerError, GenclsError, InvalidInputError, InvalidParameterError, ModelFileError
from ..images.codec import ImageCodec
from ..images.layout import as_input_errors, as_numbers, check_same_order, flatten_images
from ..inference.early_exit import most_probable
from ..inference.sampling import draw_images
from ..inference.scoring import class_log_likelihoods
from ..metrics.probabilities import bits_per_dim
from ..model_files.faults import file_at_fault
from ..model_files.reading import read_model
from ..model_files.snapshot import FITTED, Snapshot
from ..model_files.weights import check_scores, check_weights
from ..model_files.writing import write_model
from ..objectives.hybrid import Discrimination
from ..training.data import Samples, check_sample_weight, hold_out, merge_duplicates, split_by
from ..training.net import GenerativeNet, make_net
from ._labels import (
    are_words,
    as_labels,
    check_classes,
    check_labels,
    check_same_classes,
    draw_labels,
    encode_labels,
    encode_labels_for,
    unique_classes,
)
from ._net_parameters import check_net_params, net_params_at_fault
from ._parameters import RULES, SHARED

__all__ = ["GenerativeBayesClassifier"]

Floats = NDArray[np.float64]


class GenerativeBayesClassifier(ClassifierMixin, BaseEstimator):
    """Classify images by Bayes' theorem with an exact generative model of each class.

    A class-conditional PixelCNN++ (Salimans et al. 2017; Biswas) learns p(image | class) by maximum
    likelihood; prediction scores an image under every class.

    Parameters
    ----------
    conditioner : str, type or Conditioner, default="mild"
        How the network is told the class: a name of `list_conditioners`, a class, or an instance with
        hyper-parameters of its own, which are reached as ``conditioner__<name>``.
    n_layers : int, default=1
        Gated residual blocks per stage and stream.
    n_filters : int, default=40
        Channels of the features.
    n_mixtures : int, default=5
        Logistic distributions mixed for each pixel.
    dropout : float, default=0.1
        Probability of dropping a feature in training, from 0 to below 1.
    flip : bool, default=False
        Whether images are equally likely mirrored left to right, as photographs are and digits are not.
        Training then mirrors each image with probability 1/2 whenever it comes, and the density is the mean
        of those of an image and its mirror image. Scoring takes twice as long.
    shift : int, default=0
        By how many pixels training moves each image at most, up or down and left or right, at random whenever
        it comes; what moves in repeats the edge. Predictions know nothing of it. It is meant against learning
        few images by heart; but the density also learns the repeated edges, and a long training by maximum
        likelihood got worse: keep it for a training with `discriminative_weight`.
    image_shape : tuple of int, optional
        How flat rows of X fold into images: (H, W), or with channels (H, W, C) or (C, H, W) as `channel_axis`
        says. Without it a square number of features is a square grey image, any other number a strip of one
        row; as many as a square image in colour has are refused. Also needed for grey images of three or four
        columns, which are taken for one photograph otherwise.
    channel_axis : {-1, 1}, default=-1
        Where images have their channels: last, or first after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        Lowest and highest pixel value; ``"auto"`` is (0, 255) for uint8, else what `fit` sees.
    n_levels : "auto" or int, default="auto"
        Levels to which pixels are quantised, 2 to 256; ``"auto"`` is, for whole numbers, how many of them the
        range has (at most 256), and 256 for other values.
    priors : array-like of shape (K,), dict or Series, optional
        Probabilities of the sorted classes, or by class: a dict, or a Series of pandas whose index are the
        classes, such as ``y.value_counts(normalize=True)``. Without it their frequencies in `fit`.
    temperature : float or "auto", default=1.0
        What `predict_proba` divides the joint log-probabilities by; 1 is Bayes' theorem. ``"auto"`` learns it
        in `fit` on held-out images, see `calibrate`. No density and no predicted class depends on it.
    early_exit : float, optional
        Nats by which a class may lie behind the best one after the upper half of the rows without being
        dropped: in `predict`, and therefore in `score`, the others alone are scored in full, and an image
        with one class left is done. This is an approximation that saves time, the more the smaller the margin
        and the more classes there are; after maximum likelihood about one prediction in a hundred changes at
        7 to 10, or fewer; hybrid training sets classes further apart, and takes 20 or more for that. None
        scores every class in full; probabilities and densities are always exact. It may be changed after
        `fit`.
    max_epochs : int, default=50
    batch_size : int, default=32
        Images in a training step.
    lr : float, default=1e-3
        Peak learning rate of Adam; it rises for the first 5 % of all steps and then falls to 0 on a cosine.
    ema_decay : float, default=0.999
        Decay of the exponentially averaged weights, which all predictions use; from 0 (no averaging) to below
        1.
    gradient_clip : float or None, default=5.0
        Largest gradient norm of the loss: of nats per dimension, and of what `discriminative_weight` adds.
    discriminative_weight : float, default=0.0
        What the cross-entropy of Bayes' posterior, in nats an image, counts in training beside the negative
        log-likelihood in nats per dimension, from 0. 0 is maximum likelihood. 0.02 to 0.05, best after a
        training with 0, classifies better for a slightly worse density. A step then takes up to as many times
        longer as there are classes.
    discriminative_temperature : float, default=1.0
        For `discriminative_weight` above 0: what the joint log-probabilities are divided by before the
        posterior is taken whose cross-entropy counts. That weight should grow with it. The `temperature` that
        calibrates the model after maximum likelihood is a good value: there is then more to learn than that
        the own class is a few nats ahead.
    n_contrasted : int, optional
        For `discriminative_weight` above 0: with how many classes each image is scored in a step, at least 2,
        its own and others drawn at random that stand for all others. None, or at least K, is all classes.
    early_stopping : bool or {"bits_per_dim", "log_loss", "accuracy"}, default=False
        Stop when this figure of held-out images no longer gets better, and go back to the best weights. True
        is ``"bits_per_dim"``. Held out is `validation_fraction`, unless `fit` is given X_val and y_val.
    validation_fraction : float, default=0.1
        Share of the training images held out if `early_stopping` is on or `temperature` is ``"auto"``; above
        0, below 1. Both use the same ones, which makes the temperature a little too low.
    n_iter_no_change : int, default=10
        Epochs without a new best after which early stopping stops.
    net_params : dict, optional
        Another optimiser, callbacks, and how batches are taken, by the names that `skorch.NeuralNet` has for
        them: ``{"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.01, "callbacks": [...],
        "iterator_train__drop_last": True}``. Callbacks are added; ``"callbacks__schedule": None`` leaves the
        learning rate to one of them. The images lie on the device already, so that workers have nothing to
        do. ``"train_split"`` says what is held out, unless `fit` is given X_val and y_val.
    device : str, default="auto"
        A torch device; ``"auto"`` is a GPU where there is one.
    precision : {"float32", "auto", "bfloat16"}, default="float32"
        Of the network's features; the weights, the likelihood and sampling are always in float32. ``"auto"``
        trains in bfloat16 where the hardware has instructions for it, and predicts in float32; with compiled
        kernels on a CPU it is float32, which is as fast there. ``"bfloat16"`` predicts in it too. On a GPU,
        torch rounds what goes into convolutions in float32 to 10 bits (TF32) unless
        ``torch.backends.cudnn.allow_tf32`` is False.
    compile : bool, default=False
        Whether compiled kernels make training and predictions faster; a compiler is needed. Results are the
        same up to rounding, which moves the sum over all images to at most 5e-5 from 1, and with dropout
        different features are dropped. On a CPU they are our own, for float32, compiled within seconds the
        first time and kept; in bfloat16 there, nothing is compiled. On a GPU `torch.compile` makes them, in
        about a minute, and sampling then replays CUDA graphs, too.
    checkpoint : bool, default=False
        Whether training computes features twice instead of keeping them: a third slower, in less memory.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same model, whatever runs beside it: all random numbers are drawn from
        generators of the classifier's own, and torch's own stream is neither read nor set. A different number
        of threads moves rounding; on a GPU, torch's own kernels may, too.
    verbose : int, default=0
        1 shows progress, of training and of sampling.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the `fit` before. The network, the images' layout, range and
        levels, the classes, the device and `net_params` stay; all other parameters may be others then.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    class_count_ : ndarray of shape (K,)
        Training samples, or their total weight, of each class.
    class_prior_ : ndarray of shape (K,)
        It may be set to another one, in any form that `priors` may have.
    temperature_ : float
        Given, or learned on held-out images. `partial_fit` learns none: with ``"auto"`` it begins with 1 and
        stays what it is until `calibrate`.
    n_features_in_ : int
        As scikit-learn counts: ``X.shape[1]`` of `fit`, so H · W · C of flat rows, and H of images (N, H, W).
    image_shape_ : tuple of int
        An image in the layout of X.
    codec_ : ImageCodec
    conditioner_ : Conditioner
        As trained.
    net_ : GenerativeNet
        The skorch net.
    history_ : list of dict
        One row an epoch: ``train_bpd`` and seconds ``dur``; with a `discriminative_weight` above 0 also
        ``train_cross_entropy`` (nats, at its temperature); with held-out images also ``valid_bpd``,
        ``valid_accuracy`` and ``valid_log_loss`` (nats; at the `temperature` that is given, or the best one).
    n_iter_ : int
        Epochs trained.

    Notes
    -----
    All images have to be on the scale of those that `fit` saw. What is clearly on another one, such as floats
    from 0 to 1 after bytes, is an error where it is learned from (`fit` with `warm_start` or X_val,
    `partial_fit`, `calibrate`), and a `PixelScaleWarning` or `PixelClippingWarning` where it is predicted;
    `gencls.images.pixel_scale.find_slip` has the rule.

    References
    ----------
    T. Salimans, A. Karpathy, X. Chen, D. P. Kingma (2017), "PixelCNN++: Improving the PixelCNN with
    Discretized Logistic Mixture Likelihood and Other Modifications".

    S. Biswas, "Image Classification with Conditional PixelCNN++".

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from gencls import GenerativeBayesClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = GenerativeBayesClassifier(n_filters=16, max_epochs=1, random_state=0).fit(X, y)
    >>> clf.predict_proba(X[:3]).shape
    (3, 10)
    """

    def __init__(
        self,
        conditioner: str | type[Conditioner] | Conditioner = "mild",
        *,
        n_layers: int = 1,
        n_filters: int = 40,
        n_mixtures: int = 5,
        dropout: float = 0.1,
        flip: bool = False,
        shift: int = 0,
        image_shape: tuple[int, ...] | None = None,
        channel_axis: Literal[-1, 1] = -1,
        pixel_range: Literal["auto"] | tuple[float, float] = "auto",
        n_levels: Literal["auto"] | int = "auto",
        priors: ArrayLike | Mapping[Any, float] | None = None,
        temperature: float | Literal["auto"] = 1.0,
        early_exit: float | None = None,
        max_epochs: int = 50,
        batch_size: int = 32,
        lr: float = 1e-3,
        ema_decay: float = 0.999,
        gradient_clip: float | None = 5.0,
        discriminative_weight: float = 0.0,
        discriminative_temperature: float = 1.0,
        n_contrasted: int | None = None,
        early_stopping: bool | str = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        net_params: dict[str, Any] | None = None,
        device: str = "auto",
        precision: Literal["float32", "auto", "bfloat16"] = "float32",
        compile: bool = False,
        checkpoint: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
    ):
        self.conditioner = conditioner
        self.n_layers = n_layers
        self.n_filters = n_filters
        self.n_mixtures = n_mixtures
        self.dropout = dropout
        self.flip = flip
        self.shift = shift
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.pixel_range = pixel_range
        self.n_levels = n_levels
        self.priors = priors
        self.temperature = temperature
        self.early_exit = early_exit
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.ema_decay = ema_decay
        self.gradient_clip = gradient_clip
        self.discriminative_weight = discriminative_weight
        self.discriminative_temperature = discriminative_temperature
        self.n_contrasted = n_contrasted
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.net_params = net_params
        self.device = device
        self.precision = precision
        self.compile = compile
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    def set_params(self, **params: Any) -> GenerativeBayesClassifier:
        """Set parameters, those of the conditioner as ``conditioner__<name>`` even where it is given by name.

        Parameters
        ----------
        **params : object

        Returns
        -------
        GenerativeBayesClassifier
            This estimator.
        """
        own = {name: value for name, value in params.items() if not name.startswith("conditioner__")}
        nested = {name: value for name, value in params.items() if name not in own}
        super().set_params(**own)
        if nested and not isinstance(self.conditioner, Conditioner):
            self.conditioner = make_conditioner(self.conditioner)
        return super().set_params(**nested)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> GenerativeBayesClassifier:
        """Learn p(image | class) and p(class).

        Parameters
        ----------
        X : array-like of shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, n_features)
            Images of any real dtype, without NaN or infinity: an array or tensor, a list or column of images
            of one size, or a frame of numbers. `gencls.ReadImages` reads image files.
        y : array-like of shape (N,)
            Classes, at least 2: numbers or strings.
        sample_weight : array-like of shape (N,), optional
            Non-negative; 2 is the same as giving a sample twice. It belongs to X and y by position, as in
            scikit-learn; an index of pandas that is that of y in another order is refused.
        X_val, y_val : array-like, optional
            Images and classes on which bits/dim, accuracy and log-loss are recorded after each epoch, and a
            temperature is learned.

        Returns
        -------
        GenerativeBayesClassifier
            This estimator.

        Raises
        ------
        InvalidParameterError, InvalidInputError
            If parameters or data do not fit.
        NonFiniteLossError
            If training diverges; the estimator then has the last good weights.
        KeyboardInterrupt
            If the user interrupts a `fit` that a library calls, such as a search; what was learned is kept.

        Warns
        -----
        TrainingInterruptedWarning
            If the user interrupts any other `fit`; what was learned is kept.
        TrainingDivergedWarning
            If training ends with far more bits per dimension than equally probable levels have.
        """
        resume = self.warm_start and hasattr(self, "net_")
        self._check_parameters()
        with self._unchanged_by_errors():
            if resume:
                self._check_same_model()
            samples = self._read_samples(X, y, sample_weight, reset=not resume)
            self._count_classes(samples, before=0.0)
            if resume:
                self._check_no_class_is_missing()
            train, held_out = self._split(samples, X_val, y_val, resume)
            if not resume:
                self._start(train)
        self._train(train, held_out, self._setting("max_epochs"), schedule=True)
        return self._learn_temperature(held_out)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> GenerativeBayesClassifier:
        """Train for one epoch on these images, on from where the estimator is, at a constant learning rate.

        Parameters
        ----------
        X, y : array-like
            As in `fit`. The first call settles the image shape, the pixel range and the levels; give
            `pixel_range` and `n_levels` if its images do not show them.
        classes : array-like of shape (K,), optional
            All classes there will be; needed in the first call.
        sample_weight : array-like of shape (N,), optional

        Returns
        -------
        GenerativeBayesClassifier
            This estimator.

        Raises
        ------
        InvalidParameterError, InvalidInputError, NonFiniteLossError
            As in `fit`.
        KeyboardInterrupt
            If the user interrupts it; what was learned is kept.
        """
        first = not hasattr(self, "net_")
        self._check_parameters()
        if first and classes is None:
            raise InvalidInputError(
                "classes must be given in the first call of partial_fit: all classes there will be."
            )
        with self._unchanged_by_errors():
            if not first:
                self._check_same_model()
                check_same_classes(classes, self.classes_)
            samples = self._read_samples(X, y, sample_weight, classes=classes, reset=first)
            self._count_classes(samples, before=0.0 if first else self.class_count_)
            samples = merge_duplicates(samples)
            if first:
                self._start(samples)
        return self._train(samples, None, epochs=1, schedule=False)

    def calibrate(self, X: ArrayLike, y: ArrayLike) -> GenerativeBayesClassifier:
        """Learn the temperature anew, as the one that gives these images the smallest log-loss.

        Parameters
        ----------
        X : array-like
            Images that the model was not trained on, shaped as in `fit` or as flat rows; a few hundred.
        y : array-like of shape (N,)
            Their classes.

        Returns
        -------
        GenerativeBayesClassifier
            This estimator, with another `temperature_`: `predict_proba` and `predict_log_proba` change,
            nothing else does.

        References
        ----------
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On Calibration of Modern Neural Networks".
        """
        levels, codes = self._encode_labelled(X, y, strict=True)
        self.temperature_ = self._best_temperature(levels, codes)
        return self

    def resize(self, size: int | tuple[int, int]) -> GenerativeBayesClassifier:
        """Go on with images of another size, by the weights that there are.

        All that the network learns are convolutions, which fit images of any size. A model of small images,
        which learns fast, so begins to learn larger ones with most of what it knows of them.

        Parameters
        ----------
        size : int or pair of int
            Rows and columns of the images from now on: both sides, or (height, width), at least 1.

        Returns
        -------
        GenerativeBayesClassifier
            This estimator, with other `image_shape_` and `n_features_in_`, without `feature_names_in_`; where
            `image_shape` is given, it changes, too. Training by `partial_fit`, or by `fit` with `warm_start`,
            goes on from the averaged weights with a fresh optimiser. The temperature stays as it is, though
            classes are the further apart the more pixels there are: `calibrate` again.

        Raises
        ------
        InvalidParameterError
            If `size` is none, or parameters that shape the network are others than in the first `fit`.
        ConditionerError
            If the conditioner learns something for every place of an image, as ``"spatial"`` does.

        References
        ----------
        M. Tan, Q. V. Le (2021), "EfficientNetV2: Smaller Models and Faster Training", section 4.
        """
        check_is_fitted(self)
        check_parameters("resize", {"size": size}, {"size": sides()})
        self._check_same_model()
        snapshot = self._snapshot()
        with self._unchanged_by_errors():
            codec = snapshot.codec.resized(*both_sides(size))
            self.image_shape = codec.image_shape
            self.n_features_in_ = codec.sample_shape_[0]
            self.__dict__.pop("feature_names_in_", None)
            self.codec_ = codec
            try:
                check_weights(self._model_params(), snapshot.weights)
            except ModelFileError as mistake:
                raise ConditionerError(
                    f"A network with the conditioner {shortened(self.conditioner)} has weights for images of "
                    f"one size alone. {mistake} Fit a new one on images of the other size, or take a "
                    "conditioner that is the same in all places."
                ) from mistake
            self._build(snapshot)
        return self

    def predict_joint_log_proba(self, X: ArrayLike) -> Floats:
        """Log p(image, class) for every class, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`.
        """
        return joint_log_prob(self._log_likelihoods(X), self._prior)

    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Log p(class | image) by Bayes' theorem at `temperature_`, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`.
        """
        return log_posterior(self.predict_joint_log_proba(X), self.temperature_)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """p(class | image) by Bayes' theorem at `temperature_`.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.

        Returns
        -------
        ndarray of shape (N, K)
            Columns in the order of `classes_`; rows sum to 1.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image; with `early_exit`, of those that were not dropped.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.

        Returns
        -------
        ndarray of shape (N,)
            Of `classes_`.
        """
        check_is_fitted(self)
        check_parameters(
            type(self).__name__, {"early_exit": self.early_exit}, {"early_exit": RULES["early_exit"]}
        )
        model, levels = self.net_.averaged_model, self._encode_images(X)
        return self.classes_[most_probable(model, levels, self._prior, self.early_exit)]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the share of images whose class is predicted.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.
        y : array-like of shape (N,)
            Their classes.
        sample_weight : array-like of shape (N,), optional

        Returns
        -------
        float
        """
        check_same_order(X, y, "X and y")
        check_same_order(y, sample_weight, "y and sample_weight")
        predicted = self.predict(X)
        labels = check_labels(y, len(predicted))
        with as_input_errors():
            check_classification_targets(labels)
        if are_words(labels) != are_words(self.classes_):
            raise InvalidInputError(
                f"y must have classes like those that fit saw ({listed(self.classes_)}), got "
                f"{listed(np.unique(labels))}."
            )
        weights = check_sample_weight(sample_weight, len(labels))
        return float(np.average(labels == predicted, weights=weights))

    def score_samples(self, X: ArrayLike) -> Floats:
        """Log p(image) over all classes, in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.

        Returns
        -------
        ndarray of shape (N,)
        """
        return log_marginal(self.predict_joint_log_proba(X))

    def log_likelihood(self, X: ArrayLike, y: ArrayLike) -> Floats:
        """Log p(image | its class), in nats.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.
        y : array-like of shape (N,)
            Classes that `fit` saw.

        Returns
        -------
        ndarray of shape (N,)
        """
        levels, codes = self._encode_labelled(X, y)
        return class_log_likelihoods(self.net_.averaged_model, levels)[np.arange(len(codes)), codes]

    def bits_per_dim(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Average bits per dimension of p(image | its class), or of p(image) without y; lower is better.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows.
        y : array-like of shape (N,), optional

        Returns
        -------
        float
        """
        scores = self.score_samples(X) if y is None else self.log_likelihood(X, y)
        return bits_per_dim(scores, prod(self.image_shape_))

    def sample(
        self,
        n_samples: int = 1,
        y: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Draw images.

        Parameters
        ----------
        n_samples : int, default=1
            Ignored where y is an array.
        y : class or array-like of classes, optional
            The class of all images, or of each; without it classes are drawn from `class_prior_`.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray
            Images in the layout, dtype and range of the training images.
        y : ndarray of shape (n_samples,)
            Their classes.

        Raises
        ------
        InvalidParameterError, InvalidInputError
            If `n_samples` is no int of at least 1, or `fit` saw no such class.
        """
        check_is_fitted(self)
        check_parameters("sample", {"random_state": random_state}, {"random_state": RULES["random_state"]})
        # Two streams, so that the first images are the same however many are drawn.
        for_labels, for_noise = _split_stream(random_state)
        codes = draw_labels(n_samples, y, self.classes_, self._prior, for_labels)
        model = self.net_.averaged_model
        levels = draw_images(model, torch.from_numpy(codes), for_noise, verbose=self.verbose)
        return self.codec_.decode(levels.cpu().numpy()), self.classes_[codes]

    def complete(
        self,
        X: ArrayLike,
        n_rows: int,
        y: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keep the upper rows of images, and draw the others given these.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; what stands below the first rows does not matter.
        n_rows : int
            Rows to keep, from 0 to H.
        y : class or array-like of classes, optional
            The class of all images, or of each; without it the most probable one given the rows that are
            kept.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        X : ndarray
            Images in the layout, dtype and range of the training images.
        y : ndarray of shape (N,)
            Their classes.

        Raises
        ------
        InvalidParameterError, InvalidInputError
            If `n_rows` is no int from 0 to H, or images or classes do not fit.
        """
        check_is_fitted(self)
        height = self.codec_.tensor_shape_[1]
        rules = {"n_rows": whole(0, height), "random_state": RULES["random_state"]}
        check_parameters("complete", {"n_rows": n_rows, "random_state": random_state}, rules)
        model = self.net_.averaged_model
        levels = self._encode_images(X)
        if y is None:
            joint = joint_log_prob(class_log_likelihoods(model, levels, n_rows), self._prior)
            codes = joint.argmax(axis=1)
        else:
            codes = encode_labels_for(len(levels), y, self.classes_)
        rng, known = check_random_state(random_state), levels[:, :, :n_rows]
        drawn = draw_images(model, torch.from_numpy(codes), rng, known=known, verbose=self.verbose)
        return self.codec_.decode(drawn.cpu().numpy()), self.classes_[codes]

    def save(
        self, path: str | os.PathLike[str], *, half: bool = False, card: Mapping[str, Any] | None = None
    ) -> None:
        """Write the fitted classifier into a file from which `load` makes the same one, and no code is run.

        The file, in the safetensors format, holds the averaged weights and, as JSON under a checksum, what
        else was learned and the parameters. Left out are `device`, `net_params`, and parameters that JSON
        cannot hold, such as a RandomState. A file that is there is replaced once the new one is whole, which
        takes its mode; a symbolic link stays.

        Parameters
        ----------
        path : str or path-like
            The file, by custom with the ending ``.safetensors``.
        half : bool, default=False
            Keep the weights in half precision, which halves the file; `load` makes them float32 again.
        card : dict, optional
            What to note of the model, such as its data, licence and figures: anything that JSON can hold.
            `gencls.model_files.read_card` gives it back.

        Raises
        ------
        ConditionerError
            If the conditioner has no name in the registry.
        ModelFileError
            If classes, images or weights are such that a file cannot hold them, or no image has a finite
            probability under these weights.
        OSError
            If the file cannot be written, or one that is there is protected against writing.
        """
        check_is_fitted(self)
        check_parameters(type(self).__name__, self.get_params(deep=False), RULES)
        if changed := self._changed_parameters():
            raise InvalidParameterError(
                f"The network can only be saved with the parameters that it was built with, but: {changed}. "
                "Set them back, or fit anew."
            )
        trained = self.net_.averaged_model
        write_model(path, self._snapshot(), self._model_params(), trained, RULES, half=half, card=card)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "auto") -> GenerativeBayesClassifier:
        """Make the classifier again that `save` wrote.

        Its predictions, likelihoods and samples are the same. Training may go on, with averaged weights to
        begin with, a fresh optimiser and without `net_params`.

        Parameters
        ----------
        path : str or path-like
        device : str, default="auto"
            A torch device; ``"auto"`` is a GPU where there is one.

        Returns
        -------
        GenerativeBayesClassifier
            Fitted.

        Raises
        ------
        ModelFileError
            If the file is none that `save` wrote, is damaged, of a newer version of gencls, or claims more
            than is read (see the page on model files).
        ConditionerError
            If the package that provides the conditioner is not installed.
        FileNotFoundError
            If there is no file.
        """
        resolve_device(device)
        snapshot = read_model(path, RULES)
        with file_at_fault(path):
            return cls(**snapshot.parameters, device=device)._restore(snapshot)

    @property
    def image_shape_(self) -> tuple[int, ...]:
        """An image in the layout of X."""
        return self.codec_.image_shape_

    @property
    def _prior(self) -> Floats:
        """The prior in the order of the classes; `class_prior_` may be set after `fit`, in any form."""
        return class_prior(
            self.class_prior_, self.class_count_, self.classes_, name="attribute 'class_prior_'"
        )

    @property
    def conditioner_(self) -> Conditioner:
        """The trained conditioner."""
        return self.net_.averaged_model.conditioner

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One row an epoch."""
        return self.net_.history

    @property
    def n_iter_(self) -> int:
        """Epochs trained."""
        return len(self.net_.history)

    def _check_parameters(self) -> None:
        """Raise one error for everything that is wrong."""
        mistakes: list[GenclsError] = []
        for check in (
            lambda: check_parameters(type(self).__name__, self.get_params(deep=False), RULES),
            lambda: check_net_params(self.net_params, SHARED),
            lambda: make_conditioner(self.conditioner),
            lambda: resolve_device(self.device),
        ):
            try:
                check()
            except GenclsError as mistake:
                mistakes.append(mistake)
        if len(mistakes) == 1:
            raise mistakes[0]
        if mistakes:
            raise InvalidParameterError("\n".join(map(str, mistakes)))

    @contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Whatever goes wrong in here leaves the estimator as it was."""
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _read_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        classes: ArrayLike | None = None,
        reset: bool,
    ) -> Samples:
        """Validate training data; with `reset`, settle the classes and the codec by it."""
        check_same_order(X, y, "X and y")
        check_same_order(y, sample_weight, "y and sample_weight")
        rows, shape = flatten_images(X)
        flat, labels = self._validate(rows, as_labels(y), reset=reset)
        weights = check_sample_weight(sample_weight, len(labels))
        if not weights.all():
            flat, labels, weights = flat[weights > 0], labels[weights > 0], weights[weights > 0]
        if reset:
            self.classes_ = check_classes(np.unique(labels) if classes is None else unique_classes(classes))
            codec = ImageCodec(self.image_shape, self.channel_axis, self.pixel_range, self.n_levels)
            self.codec_ = codec.fit(flat, shape[1:])
            self.n_features_in_ = shape[1]
        else:
            self.codec_.check_shape(shape)
        self._check_shift()
        levels = self.codec_.encode(flat, strict=True)
        return Samples(levels, encode_labels(labels, self.classes_, len(labels)), weights)

    def _check_shift(self) -> None:
        """Raise if training would move images out of sight."""
        sides = self.codec_.tensor_shape_[1:]
        if self.shift >= max(sides):
            raise InvalidParameterError(
                "The parameter 'shift' of GenerativeBayesClassifier must be below the sides of the images, "
                f"{sides}, got {shortened(self.shift)}. One or two pixels are usual."
            )

    def _count_classes(self, samples: Samples, before: Any) -> None:
        """Learn the class frequencies, on top of those counted before."""
        self.class_count_ = before + np.bincount(samples.labels, samples.weights, len(self.classes_))
        self.class_prior_ = class_prior(self.priors, self.class_count_, self.classes_)

    def _check_no_class_is_missing(self) -> None:
        """Raise if a warm start has no image of a class that the first fit saw."""
        if self.priors is None and not self.class_count_.all():
            missing = self.classes_[self.class_count_ == 0].tolist()
            raise InvalidInputError(
                f"y must have all classes of the fit before, as warm_start=True, but has none of {missing}. "
                "Their frequencies would be 0: give priors, or images of all classes."
            )

    def _split(
        self, samples: Samples, X_val: ArrayLike | None, y_val: ArrayLike | None, resume: bool
    ) -> tuple[Samples, Samples | None]:
        """Training and held-out samples."""
        if (X_val is None) != (y_val is None):
            raise InvalidInputError("X_val and y_val must be given together, got one of them.")
        train_split = (self.net_params or {}).get("train_split")
        if X_val is None and train_split is not None:
            samples, part = split_by(samples, train_split)
            if part is None or isinstance(part, Samples):
                return merge_duplicates(samples), part and merge_duplicates(part)
            X_val, y_val = part
        samples = merge_duplicates(samples)
        if X_val is not None and y_val is not None:
            return samples, self._read_held_out(X_val, y_val)
        if not self.early_stopping and self.temperature != "auto":
            return samples, None
        if not (resume and hasattr(self, "_split_seed")):  # a warm start holds out the same images again
            self._split_seed = check_random_state(self.random_state).randint(2**31 - 1)
        return hold_out(samples, self.validation_fraction, self._split_seed, self.classes_)

    def _read_held_out(self, X_val: ArrayLike, y_val: ArrayLike) -> Samples:
        """Validate held-out images."""
        try:
            levels, codes = self._encode_labelled(X_val, y_val, strict=True)
        except InvalidInputError as mistake:
            raise InvalidInputError(f"X_val and y_val do not fit: {mistake}") from mistake
        return Samples(levels.numpy(), codes, np.ones(len(codes)))

    def _start(self, samples: Samples) -> None:
        """Build the net and initialise its weights by the training images."""
        self._random_state = check_random_state(self.random_state)
        net = self._make_net()
        device = torch.device(net.device)
        seed = self._draw_seed()
        with DrawingFrom(seed), net_params_at_fault(self.net_params):
            net.initialize()
        net.initialise_weights(samples.to_torch(device), seed)
        self.net_ = net
        self.temperature_ = 1.0 if self.temperature == "auto" else float(self.temperature)

    def _train(
        self, train: Samples, held_out: Samples | None, epochs: int, *, schedule: bool
    ) -> GenerativeBayesClassifier:
        net, device = self.net_, torch.device(self.net_.device)
        net.adopt(
            self._setting("lr"),
            int(self._setting("batch_size")),
            dropout=self.dropout,
            ema_decay=self._setting("ema_decay"),
            gradient_clip=self._setting("gradient_clip"),
            shift=int(self.shift),
            discrimination=self._make_discrimination(),
        )
        net.compute_with(self.precision, compile=self.compile, checkpoint=self.checkpoint)
        images = None if held_out is None else held_out.to_torch(device)
        net.tell("validation", images=images, prior=self.class_prior_, temperature=self.temperature)
        monitor = None if images is None else self._monitored()
        net.tell("early_stopping", monitor=monitor, patience=self.n_iter_no_change)
        net.tell("progress", shown=bool(self.verbose))
        with net_params_at_fault(self.net_params):
            net.learn(train.to_torch(device), epochs, seed=self._draw_seed(), schedule=schedule)
        return self

    def _learn_temperature(self, held_out: Samples | None) -> GenerativeBayesClassifier:
        """Settle the temperature: learned on held-out samples, or as given."""
        if self.temperature != "auto":
            self.temperature_ = float(self.temperature)
        elif held_out is not None:
            self.temperature_ = self._best_temperature(torch.from_numpy(held_out.levels), held_out.labels)
        return self

    def _best_temperature(self, levels: torch.Tensor, codes: NDArray[np.int64]) -> float:
        scores = class_log_likelihoods(self.net_.averaged_model, levels)
        return fit_temperature(joint_log_prob(scores, self._prior), codes)

    def _draw_seed(self) -> int:
        return int(self._random_state.randint(2**31 - 1))

    def _check_same_model(self) -> None:
        """Raise if the parameters that shape the network are others than in the first fit."""
        if changed := self._changed_parameters():
            raise InvalidParameterError(
                "Training can only go on with the network that there is, but parameters have changed: "
                f"{changed}. Set them back, or fit anew with warm_start=False."
            )

    def _changed_parameters(self) -> str:
        """Which parameters that shape the network or its images are others than in the first fit."""
        built = self.net_.get_params_for("module")
        found = [
            (name, built[name], value)
            for name, value in self._model_params().items()
            if name != "dropout" and repr(value) != repr(built[name])
        ]
        for name, value in self.codec_.settled_.items():
            given = getattr(self, name)
            if given is not None and given != "auto" and not np.array_equal(given, value):
                found.append((name, value, given))
        return "; ".join(
            f"{name} was {shortened(before)} and is {shortened(now)}" for name, before, now in found
        )

    def _model_params(self) -> dict[str, Any]:
        return {
            "image_shape": self.codec_.tensor_shape_,
            "n_levels": self.codec_.n_levels_,
            "n_classes": len(self.classes_),
            "conditioner": make_conditioner(self.conditioner),
            "n_layers": self.n_layers,
            "n_filters": self.n_filters,
            "n_mixtures": self.n_mixtures,
            "dropout": self.dropout,
            "flip": self.flip,
        }

    def _make_net(self) -> GenerativeNet:
        return make_net(
            self._model_params(),
            device=resolve_device(self.device),
            lr=self.lr,
            batch_size=int(self.batch_size),
            max_epochs=self.max_epochs,
            ema_decay=self.ema_decay,
            gradient_clip=self.gradient_clip,
            net_params={
                name: value for name, value in (self.net_params or {}).items() if name != "train_split"
            },
        )

    def _setting(self, name: str) -> Any:
        """A parameter, or what `net_params` says instead."""
        return (self.net_params or {}).get(name, getattr(self, name))

    def _monitored(self) -> str | None:
        """What early stopping watches: a key of `callbacks.MONITORS`."""
        if isinstance(self.early_stopping, str):
            return self.early_stopping
        return "bits_per_dim" if self.early_stopping else None

    def _make_discrimination(self) -> Discrimination | None:
        if self.discriminative_weight == 0:
            return None
        return Discrimination(
            self.discriminative_weight,
            self.class_prior_,
            self.n_contrasted,
            self.discriminative_temperature,
        )

    def _snapshot(self) -> Snapshot:
        priors = priors_in_order(self.priors, self.classes_)  # a file cannot hold a Series
        return Snapshot(
            parameters=self.get_params(deep=False) | {"priors": priors},
            conditioner=self.conditioner_,
            codec=self.codec_,
            fitted={name: getattr(self, name) for name in FITTED if hasattr(self, name)}
            | {"class_prior_": self._prior},
            history=self.history_,
            n_steps=int(self.net_.averaged_.n_averaged),
            weights=self.net_.averaged_model.state_dict(),
        )

    def _restore(self, snapshot: Snapshot) -> GenerativeBayesClassifier:
        """Be the classifier of the snapshot; its weights are looked at before a net is built."""
        self._check_parameters()
        self.codec_ = snapshot.codec
        self.__dict__.update(snapshot.fitted)
        self.n_features_in_ = self.codec_.sample_shape_[0]
        check_weights(self._model_params(), snapshot.weights)
        self._random_state = check_random_state(self.random_state)
        self._build(snapshot)
        check_scores(self.net_.averaged_model)
        return self

    def _build(self, snapshot: Snapshot) -> GenerativeBayesClassifier:
        """Build a net that goes on from the weights and the history of the snapshot."""
        net = self._make_net()
        with DrawingFrom(seed=0):
            net.initialize()
        net.resume(snapshot.weights, snapshot.history, snapshot.n_steps)
        net.compute_with(self.precision, compile=self.compile, checkpoint=self.checkpoint)
        self.net_ = net
        return self

    def _log_likelihoods(self, X: ArrayLike) -> Floats:
        """Log p(image | class) in nats, (N, K): what every prediction derives from."""
        check_is_fitted(self)
        return class_log_likelihoods(self.net_.averaged_model, self._encode_images(X))

    def _encode_images(self, X: ArrayLike, *, strict: bool = False) -> torch.Tensor:
        """Levels (N, C, H, W)."""
        levels = self.codec_.encode(self._validate_images(X), strict=strict)
        return torch.from_numpy(np.require(levels, requirements="W"))  # torch warns of read-only ones

    def _encode_labelled(
        self, X: ArrayLike, y: ArrayLike, *, strict: bool = False
    ) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Levels and positions of the classes, before anything is scored."""
        check_is_fitted(self)
        check_same_order(X, y, "X and y")
        levels = self._encode_images(X, strict=strict)
        return levels, encode_labels(y, self.classes_, len(levels))

    def _validate_images(self, X: ArrayLike) -> NDArray[Any]:
        """Rows (N, n_features) of finite numbers."""
        rows, shape = flatten_images(X)
        flat: NDArray[Any] = self._validate(rows, reset=False)
        self.codec_.check_shape(shape)
        return flat

    def _validate(self, rows: Any, y: Any = "no_validation", *, reset: bool) -> Any:
        """What scikit-learn checks; the codec checks the number of features, whether X was folded or not."""
        with as_input_errors():
            if isinstance(y, str):
                return as_numbers(validate_data(self, rows, dtype="numeric", ensure_2d=False, reset=reset))
            flat, labels = validate_data(self, rows, y, dtype="numeric", ensure_2d=False, reset=reset)
            check_classification_targets(labels)
            return as_numbers(flat), labels


def _split_stream(random_state: Any) -> list[np.random.RandomState]:
    seeds = check_random_state(random_state).randint(2**31 - 1, size=2)
    return [np.random.RandomState(seed) for seed in seeds]
