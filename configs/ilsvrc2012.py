"""The paper's experiment: AlexNet on ILSVRC-2012.

    python -m alexnet_jax.main --config=configs/ilsvrc2012.py --workdir=runs/ilsvrc2012 \
        --config.data.dir=/path/to/imagenet

Expected (Krizhevsky, Sutskever, Hinton, NIPS 2012, table 2, one CNN, ten views of each
validation image): top-1 error 0.407, top-5 error 0.182. Every name that the program knows
stands in this file; the other recipes change only what differs. "paper 4.1" is a section of
the paper; "layers-145.cfg" is a file of the released 2012 program.
"""

from ml_collections import ConfigDict, FieldReference

from alexnet_jax.net import resolving


def get_config() -> ConfigDict:
    """Return the recipe of the paper, locked."""
    config = ConfigDict()
    config.seed = 0  # initial values, order of images, crops, colours, dropout
    config.epochs = 90  # paper 5: "roughly 90 cycles"
    config.batch_size = 128  # paper 5; over all devices together
    # Another run's folder, whose parameters this one begins with, and of which layers; none named:
    # all. Only the first start looks at them (paper 6.1: pretraining).
    config.init_from = ""
    config.init_layers = ()

    config.data = ConfigDict()
    config.data.builder = "ilsvrc"  # ilsvrc | image_folder | shapes
    config.data.release = "2012"  # builder=ilsvrc: 2012 | 2010 | fall2011
    config.data.dir = ""  # folder of ILSVRC's archives, or train/<class>/<file>, val/<class>/<file>
    config.data.prepared_dir = ""  # where the 256x256 copy lives; "" is ~/tensorflow_datasets
    config.data.storage = "jpeg"  # jpeg (quality 95) | raw (uint8, 196,608 bytes an image)
    # aspect: the shorter side to 256, then the central square (paper 2) | warp: each side to 256
    # (Caffe). Filters: area | bilinear | lanczos | opencv_area | opencv_linear. Whose results are
    # of which: alexnet_jax/data/decode/resize.py.
    config.data.resize = "aspect"
    config.data.resize_filter = "area"
    config.data.validation_fraction = 0.1  # held out only where the folder has no validation split
    config.data.max_bad_fraction = 0.0  # unreadable files up to this share are skipped and listed
    config.data.workers = 0  # threads that read and decode; 0 is one for each core
    # What pixels lose. image: each the mean of its own place (paper 2). centre: each view the mean
    # image's central window, wherever it came from (convdata_jpeg.py:95). channel: the mean of its
    # channel. values: mean_values, R G B, 0-255. file: mean_file, .npy of (256, 256, 3), RGB 0-255
    # (Caffe's mean image), as image; centre_file: as centre. none.
    config.data.mean = "image"
    config.data.mean_values = (0.0, 0.0, 0.0)
    config.data.mean_file = ""
    config.data.divide_by = (1.0, 1.0, 1.0)  # R, G, B, after the mean; paper 2: no scaling
    config.data.crop = True  # paper 4.1: a random image_size window of 256x256; False: the centre
    # window: as it is (paper 4.1) | resized: 8% to 100% of the area, scaled to image_size
    # (torchvision's RandomResizedCrop)
    config.data.crop_form = "window"
    config.data.flip = True  # paper 4.1: mirrored with probability 1/2
    # Neighbours in the batch that share crop and mirror; 32 in the program (convdata_jpeg.py:77).
    config.data.crop_chunk = 1
    config.data.colour = True  # paper 4.1: one draw of PCA colour for each image
    config.data.colour_std = 0.1  # paper 4.1: alpha ~ N(0, 0.1)
    # "eigenvalue": alpha times the eigenvalues of the RGB covariance, pixels in [0, 1] (the
    # text); "deviation": alpha times their square roots (the released program).
    config.data.colour_unit = "eigenvalue"
    # Divide by 1 + colour_std while there is noise (convdata_jpeg.py:179); the text does not.
    config.data.colour_rescale = False
    config.data.colour_until = 0  # no colour noise after this many epochs; 0: it never ends

    # The net: a row of alexnet_jax/net/architectures.py. A field set here or by a flag overrides
    # the row.
    config.model = resolving.overrides("paper")

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 0.01  # paper 5, equal for all layers
    # Of biases and norms; 0: that of the weights (paper 5). The program: .02 (layers-145.cfg).
    config.optimizer.bias_learning_rate = 0.0
    # Whether that follows the schedule and the layers' factors; in the program it never changed.
    config.optimizer.bias_drops = True
    config.optimizer.momentum = 0.9  # paper 5
    config.optimizer.weight_decay = 0.0005  # paper 5
    config.optimizer.decay_biases = False  # layers-145.cfg: never; PyTorch: True
    config.optimizer.decay_form = "velocity"  # velocity (paper 5) | decoupled (SGDW)
    # inside: the rate scales what enters the velocity (paper 5) | outside: what the velocity does
    # (PyTorch's SGD)
    config.optimizer.rate_form = "inside"

    config.schedule = ConfigDict()
    config.schedule.kind = "plateau"  # plateau | epochs | dexp
    config.schedule.factor = 0.1  # paper 5: "divide the learning rate by 10"
    config.schedule.drops = 3  # paper 5: "reduced three times prior to termination"
    # The authors watched the validation error by eye. These two are ours: a drop after this many
    # validations in a row without a relative improvement of at least this much.
    config.schedule.patience = 5
    config.schedule.min_improvement = 0.005
    config.schedule.epochs = (25, 51, 79)  # kind=epochs: drops after these (layer-params-145.cfg)
    # (layer, from this epoch on, factor on its rate); 0 freezes it. Of a layer's rows the latest
    # holds. The paper: equal for all layers.
    config.schedule.layers = ()
    config.schedule.dexp_factor = 250.0  # kind=dexp: first rate over last rate (net 170)
    config.schedule.dexp_steps = 4  # kind=dexp: equal stretches of the run, one rate each

    config.mesh = ConfigDict()
    config.mesh.data = -1  # devices along the batch; -1: all that are left
    # Devices along the columns: 1, 2, or "auto" (2 where the net has two columns and the number
    # of devices is even): the paper's two GPUs.
    config.mesh.group = FieldReference("auto", field_type=object)
    config.mesh.cpu_devices = 1  # virtual devices that a CPU is split into

    config.distributed = ConfigDict()
    config.distributed.timeout_seconds = 60  # until a process that is silent is given up

    config.checkpoint = ConfigDict()
    config.checkpoint.dir = ""  # "" is checkpoints/ in --workdir; several machines must share it
    config.checkpoint.every_steps = 2000  # besides one after each evaluation; 0: only those

    config.evaluate = ConfigDict()
    config.evaluate.views = 1  # in the loop: 1 (centre) | 5 (corners too) | 10 (paper 4.1)
    config.evaluate.every_epochs = 1
    config.evaluate.batch_size = 256

    config.log = ConfigDict()
    config.log.every_steps = 100
    config.log.plateau_steps = 2000  # warn when the loss sat at ln(classes) for this long
    config.log.tensorboard = True
    return config.lock()
