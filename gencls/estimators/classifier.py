"""The scikit-learn estimator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..augmentations import AUGMENTATIONS, Augmentation
from ..backends.compute import Compute, make_compute
from ..conditioners import Conditioner, make_conditioner
from ..errors import InvalidInputError
from ..inference.early_exit import most_probable
from ..objectives import Objective, make_objective
from ..training.data import merge_duplicates
from ..training.plan import Stage
from ._bayes_mixin import BayesMixin
from ._density_mixin import DensityMixin
from ._evidence_mixin import EvidenceMixin
from ._files_mixin import FilesMixin
from ._labels import check_same_classes, encode_labels
from .recipes import parameters_of

__all__ = ["GenerativeBayesClassifier"]

Floats = NDArray[np.float64]


class GenerativeBayesClassifier(BayesMixin, DensityMixin, EvidenceMixin, FilesMixin):
    """Classify images by Bayes' theorem with an exact generative model of each class.

    A class-conditional PixelCNN++ (Salimans et al. 2017; Biswas) learns p(image | class); prediction scores
    an image under every class. The first six parameters are the first to tune. The defaults suit a first fit:
    those that are ``"auto"`` depend on the number, the size and the symmetry of the images, and `stages_`
    holds what they stood for.

    Parameters
    ----------
    conditioner : str, type or Conditioner, default="low-rank"
        How the network is conditioned on the class: a name of `list_conditioners`, a class, or an instance.
        Its hyper-parameters are set as ``conditioner__<name>``.
    objective : str, type or Objective, default="auto"
        The objective that training minimises: ``"likelihood"``, the pure density; ``"hybrid"``, which also
        separates the classes; a name of `list_objectives`, a class, or an instance such as
        ``Hybrid(weight=1.0, temperature=8.0)``; hyper-parameters are set as ``objective__<name>``. ``"auto"``
        is the likelihood for two thirds of the epochs, and then the hybrid objective at a third of `lr`.
    augmentation : None, str, type, Augmentation or list of these, default="auto"
        Augmentations of the training images, in order: names of `list_augmentations`, classes or instances,
        such as ``[Flip(), RandomCrop(smallest=0.8), Shift(2)]``. With `Flip`, the density is averaged over an
        image and its flipped copy. ``"auto"`` is `Flip` if flips keep the class, as a linear discriminant
        judges on the training images, and `RandomCrop` if images are reduced.
    resolution : "auto", int, tuple of int or None, default="auto"
        Rows and columns to which larger images are reduced, antialiased: both sides, or (H, W). The density
        is then that of the reduced image. X may then have image files, and images of different sizes. None
        keeps the size of the images. ``"auto"`` reduces images of more than 400 values to about 200: 8×8 in
        colour, 14×14 in grey.
    max_epochs : "auto" or int, default="auto"
        Epochs of all stages. ``"auto"`` decreases with the square root of the number of images, from 80 to 3,
        and is larger for colour images.
    lr : float, default=3e-3
        Peak learning rate of Adam; it rises for the first 5 % of all steps and then falls to 0 on a cosine.
    n_layers : int, default=1
        Gated residual blocks per stage and stream.
    n_filters : int, default=40
        Channels of the features.
    n_mixtures : int, default=5
        Logistic distributions mixed for each pixel.
    dropout : float, default=0.1
        Probability of dropping a feature in training, from 0 to below 1.
    image_shape : tuple of int, optional
        Shape of the images in flat rows of X, or at which `fit` keeps image files and images of different
        sizes: (H, W), or with channels (H, W, C) or (C, H, W), depending on `channel_axis`. By default a
        square number of features is a square grey image, and any other number a single row of pixels; the
        number of features of a square colour image is refused. It is also needed for grey images of three or
        four columns, which are otherwise taken for one photograph.
    channel_axis : {-1, 1}, default=-1
        The axis of the channels: the last, or the first after the samples.
    pixel_range : "auto" or tuple of float, default="auto"
        Lowest and highest pixel value; ``"auto"`` is (0, 255) for uint8, else the range in `fit`.
    n_levels : "auto" or int, default="auto"
        Levels to which pixels are quantised, 2 to 256; ``"auto"`` is the number of integers in the range (at
        most 256) for whole numbers, and 256 for other values.
    priors : array-like of shape (K,), dict or Series, optional
        Probabilities of the sorted classes, or by class: a dict, or a Series of pandas whose index are the
        classes, such as ``y.value_counts(normalize=True)``. By default their frequencies in `fit`.
    temperature : "auto" or float, default="auto"
        Divisor of the joint log-probabilities in `predict_proba`; 1 is Bayes' theorem. ``"auto"`` learns it
        in `fit` on held-out images, see `calibrate`; if fewer than 20 would be held out, it is that of the
        last objective, or 1. Densities and predicted classes do not depend on it.
    views : "auto", {"flips", "six-crops"}, list of these or None, default="auto"
        Views of an image over which predictions average the joint log-probability: flipped left to right; or
        the whole image, its middle and its corners. The time of prediction grows with their number, except
        for flips after training with `Flip`. Densities are always those of the image itself. ``"auto"`` are
        flips after training with `Flip`, and the six crops after training with `RandomCrop`.
    stages : list of Stage, optional
        Stages of training, each with its own epochs, learning rate, objective, augmentation, resolution or
        batch size; `max_epochs` is then ignored. None is a single stage.
    batch_size : "auto" or int, default="auto"
        Images in a training step. ``"auto"`` is 16 for fewer than 5,000 images, else 32.
    early_stopping : bool or {"bits_per_dim", "log_loss", "accuracy"}, default=False
        Stop a stage when this figure of held-out images no longer improves, and restore the best weights.
        True is ``"bits_per_dim"``. The held-out images are a share `validation_fraction`, unless X_val and
        y_val are passed to `fit`.
    validation_fraction : float, default=0.1
        Share of the training images held out if `early_stopping` is on or `temperature` is ``"auto"``; above
        0, below 1. Both use the same images, which makes the temperature slightly too low.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping ends a stage.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the previous `fit`. The network, the images' layout, range
        and levels, the classes, the device and `net_params` stay; all other parameters may change.
    checkpoint_dir : str or path-like, optional
        A folder for a checkpoint after each epoch. A `fit` with the same parameters and data resumes from it
        after an interruption, and ends with the same weights; one with different parameters or data is
        refused. `random_state` must be an int. The state of callbacks in `net_params` is not kept.
    net_params : dict, optional
        Parameters of `skorch.NeuralNet`, also set as ``net__<name>``: ``{"optimizer": torch.optim.AdamW,
        "optimizer__weight_decay": 0.01, "callbacks": [...], "iterator_train__drop_last": True}``. Callbacks
        are added; ``"callbacks__schedule": None`` leaves the learning rate to one of them. ``"train_split"``
        selects the held-out images, unless X_val and y_val are passed to `fit`. In addition, ``"ema_decay"``
        (0.999) is the decay of the averaged weights, which all predictions use, and ``"gradient_clip"`` (5.0,
        or None) the largest norm of the gradient of the loss.
    compute : {"auto", "plain"} or Compute, default="auto"
        How to compute: ``"auto"`` with compiled kernels where a compiler is available, ``"plain"`` without
        them, or `Compute` with a precision, gradient checkpointing, or an early exit for `predict`. It may be
        changed after `fit`.
    device : str, default="auto"
        A torch device; ``"auto"`` is a GPU if one is available.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same model: all random numbers are drawn from generators of the classifier, and
        torch's default generator is neither used nor seeded. Rounding may depend on the number of threads,
        and on a GPU on torch's kernels.
    verbose : int, default=0
        1 shows the progress of training and of sampling.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    class_count_ : ndarray of shape (K,)
        Training samples, or their total weight, of each class.
    class_prior_ : ndarray of shape (K,)
        It can be set in any form that `priors` accepts.
    temperature_ : float
        Given, or learned on held-out images. `partial_fit` does not learn it: with ``"auto"`` it is 1 at the
        start, and later changes only by `calibrate`.
    n_features_in_ : int
        ``X.shape[1]`` in `fit`, as in scikit-learn: H · W · C for flat rows, and H for images (N, H, W).
    image_shape_ : tuple of int
        An image in the layout of X.
    codec_ : ImageCodec
    conditioner_ : Conditioner
        The trained conditioner.
    net_ : GenerativeNet
        The skorch net.
    history_ : list of dict
        One row per epoch: ``train_bpd``, seconds ``dur``, and each term of the objective, such as
        ``train_cross_entropy`` (nats, at its temperature); with X_val or `early_stopping` also ``valid_bpd``,
        ``valid_accuracy`` and ``valid_log_loss`` (nats; at a given `temperature`, or at the best one,
        ``valid_temperature``).
    n_iter_ : int
        Epochs trained.
    stages_ : list of Stage
        The stages of the last `fit`, or else of the first `partial_fit`, with all settings; a valid value of
        `stages`.

    Notes
    -----
    All images must have the scale of those in `fit`. Images that clearly have a different scale, such as
    floats from 0 to 1 after bytes, raise an error in training (`fit` with `warm_start` or X_val,
    `partial_fit`, `calibrate`), and a `PixelScaleWarning` or `PixelClippingWarning` in prediction.

    With `resolution`, X may also be a list or column of arrays of different sizes. It may also have image
    files: paths, the bytes of files, or Pillow images; after `fit`, every model reads them. They are read as
    by `ReadImages`, and converted to the channels and the pixel range of the model, from black, its lowest
    value, to white. Each image is first reduced to the size of the images in `fit`, out of which views are
    cut, and then to the size of the model. If `fit` reduced no images, views are cut out of the original. The
    aspect ratio is not preserved, and images smaller than the model are refused. Files are read one by one;
    ``joblib.parallel_config("threading", n_jobs=4)`` reads in four threads.

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
    >>> clf = GenerativeBayesClassifier(n_filters=16, max_epochs=1, random_state=0).fit(X[:200], y[:200])
    >>> clf.predict_proba(X[:3]).shape
    (3, 10)
    """

    def __init__(
        self,
        conditioner: str | type[Conditioner] | Conditioner = "low-rank",
        *,
        objective: str | type[Objective] | Objective = "auto",
        augmentation: str | type[Augmentation] | Augmentation | Sequence[Any] | None = "auto",
        resolution: Literal["auto"] | int | tuple[int, int] | None = "auto",
        max_epochs: Literal["auto"] | int = "auto",
        lr: float = 3e-3,
        n_layers: int = 1,
        n_filters: int = 40,
        n_mixtures: int = 5,
        dropout: float = 0.1,
        image_shape: tuple[int, ...] | None = None,
        channel_axis: Literal[-1, 1] = -1,
        pixel_range: Literal["auto"] | tuple[float, float] = "auto",
        n_levels: Literal["auto"] | int = "auto",
        priors: ArrayLike | Mapping[Any, float] | None = None,
        temperature: float | Literal["auto"] = "auto",
        views: str | Sequence[str] | None = "auto",
        stages: Sequence[Stage] | None = None,
        batch_size: Literal["auto"] | int = "auto",
        early_stopping: bool | str = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        net_params: dict[str, Any] | None = None,
        compute: str | Compute = "auto",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.conditioner = conditioner
        self.objective = objective
        self.augmentation = augmentation
        self.resolution = resolution
        self.max_epochs = max_epochs
        self.lr = lr
        self.n_layers = n_layers
        self.n_filters = n_filters
        self.n_mixtures = n_mixtures
        self.dropout = dropout
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.pixel_range = pixel_range
        self.n_levels = n_levels
        self.priors = priors
        self.temperature = temperature
        self.views = views
        self.stages = stages
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.net_params = net_params
        self.compute = compute
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_recipe(cls, name: str, **overrides: Any) -> GenerativeBayesClassifier:
        """Create a classifier with the parameters of a recipe.

        Parameters
        ----------
        name : str
            One of `list_recipes`.
        **overrides : object
            Parameters that differ from the recipe's.

        Returns
        -------
        GenerativeBayesClassifier
            Not fitted.

        Raises
        ------
        InvalidParameterError
            If there is no such recipe.
        """
        return cls(**(parameters_of(name) | overrides))

    def set_params(self, **params: Any) -> GenerativeBayesClassifier:
        """Set parameters, including those of components that are given by name, and entries of `net_params`.

        Parameters
        ----------
        **params : object
            Those of components are ``conditioner__<name>``, ``objective__<name>``, ``augmentation__<name>``
            and ``compute__<name>``; ``net__<name>`` is an entry of `net_params`.

        Returns
        -------
        GenerativeBayesClassifier
            This estimator.
        """
        own = {name: value for name, value in params.items() if "__" not in name}
        super().set_params(**own)
        settings = {name[5:]: value for name, value in params.items() if name.startswith("net__")}
        if settings:
            self.net_params = (self.net_params or {}) | settings
        nested = {
            name: value for name, value in params.items() if name not in own and not name.startswith("net__")
        }
        for part in {name.partition("__")[0] for name in nested} & MAKERS.keys():
            if not hasattr(getattr(self, part), "get_params") or isinstance(getattr(self, part), type):
                setattr(self, part, MAKERS[part](getattr(self, part)))
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
            of one size, or a frame of numbers. With `resolution`, the list may also have images of different
            sizes, or image files: paths, bytes or Pillow images. For crops, these are kept at the size of the
            largest of them, at most four times the resolution, or in the shape `image_shape`; files are grey
            if all of them are, otherwise in colour.
        y : array-like of shape (N,)
            Classes, at least 2: numbers or strings.
        sample_weight : array-like of shape (N,), optional
            Non-negative; 2 is the same as giving a sample twice. Weights are matched to X and y by position,
            as in scikit-learn; a pandas index that is that of y in a different order is refused.
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
        ImageFileError
            If image files cannot be read; it lists all of them.
        NonFiniteLossError
            If training diverges; the estimator then has the last good weights.
        KeyboardInterrupt
            If the user interrupts a `fit` that a library calls, such as a search; the weights learned so far
            are kept.

        Warns
        -----
        TrainingInterruptedWarning
            If the user interrupts any other `fit`; the weights learned so far are kept.
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
            stages, is_scored = self._choose_stages(train), self._scores_epochs(held_out, X_val)
            data, plan = self._prepare(train, held_out, stages, is_scored=is_scored, resume=resume)
        return self._learn(data, plan, held_out)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> GenerativeBayesClassifier:
        """Train for one further epoch on these images, at a constant learning rate.

        With `stages`, the settings are those of the last one. With the objective ``"auto"``, the first calls
        use the likelihood, and those after a `fit` the objective of its last stage. There are no checkpoints.

        Parameters
        ----------
        X, y : array-like
            As in `fit`. The first call sets the image shape, the pixel range and the levels; set
            `pixel_range` and `n_levels` if its images do not cover them.
        classes : array-like of shape (K,), optional
            All classes of all calls; required in the first call.
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
            If the user interrupts it; the weights learned so far are kept.
        """
        first = not hasattr(self, "net_")
        self._check_parameters()
        if first and classes is None:
            raise InvalidInputError(
                "classes must be a list of all classes in the first call of partial_fit, got None."
            )
        with self._unchanged_by_errors():
            if not first:
                self._check_same_model()
                check_same_classes(classes, self.classes_)
            samples = self._read_samples(X, y, sample_weight, classes=classes, reset=first)
            self._count_classes(samples, before=0.0 if first else self.class_count_)
            train = merge_duplicates(samples)
            stages = self._choose_stages(train, [self._further_stage()], is_scheduled=False)
            data, plan = self._prepare(train, None, stages, resume=not first)
        return self._learn(data, plan, None)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each image; with an early exit, of those not dropped.

        Parameters
        ----------
        X : array-like
            Images, shaped as in `fit` or as flat rows; or image files, or images of other sizes.

        Returns
        -------
        ndarray of shape (N,)
            Of `classes_`.
        """
        check_is_fitted(self)
        margin = self._compute().early_exit
        if margin is None or self._image_views:
            return super().predict(X)
        return self.classes_[most_probable(self._decision_scorer, self._encode_images(X), margin)]

    @property
    def image_shape_(self) -> tuple[int, ...]:
        """An image in the layout of X."""
        return self.codec_.image_shape_

    @property
    def conditioner_(self) -> Conditioner:
        """The trained conditioner."""
        return self.net_.averaged_model.conditioner

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One row per epoch."""
        return self.net_.history

    @property
    def n_iter_(self) -> int:
        """Epochs trained."""
        return len(self.net_.history)

    def _decision_table(self, X: ArrayLike) -> Floats:
        """The joint log-probabilities of all views, averaged."""
        if not self._views:
            return self.predict_joint_log_proba(X)
        return self._mean_joint(self._encode_views(X, self._image_views))

    def _labelled_table(self, X: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
        views = list(self._encode_views(X, self._image_views, strict=True))
        codes = encode_labels(y, self.classes_, len(views[0]))  # before anything is scored
        return self._mean_joint(views), codes


MAKERS: dict[str, Any] = {
    "augmentation": AUGMENTATIONS.make,
    "compute": make_compute,
    "conditioner": make_conditioner,
    "objective": make_objective,
}
