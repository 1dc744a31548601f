"""The errors that a user can fix. Their message is one line: expected, came, what to do."""


class UserError(Exception):
    """Base of every error that the command lines print as one line, without a traceback."""


class ConfigError(UserError):
    """A configuration that is not possible."""


class DataError(UserError):
    """Images or a prepared dataset that cannot be used."""


class CheckpointError(UserError):
    """A run folder or checkpoint that cannot be used."""


class TrainingError(UserError):
    """A run that cannot go on, such as one whose loss is no longer finite."""


class DeviceError(UserError):
    """Devices that do not compute or exchange what they should."""


class WeightsError(UserError):
    """Weights that are damaged, or those of another net."""
