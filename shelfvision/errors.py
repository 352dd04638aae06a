"""Every error a user can cause or meet; each is one clear line and an exit code."""


class ShelfvisionError(Exception):
    """An expected error: its message is one line that names the thing and the fix.

    The command line prints it to stderr without a traceback and exits with ``exit_code``.
    """

    exit_code = 1


class ConfigError(ShelfvisionError):
    """A site file, catalogue or option is wrong; the message lists every fault, one a line."""


class UsageError(ShelfvisionError):
    """A command was called with arguments that do not fit together."""

    exit_code = 2


class GeometryError(ShelfvisionError):
    """A box, polygon or frame does not have the shape or size it must have."""


class CameraError(ShelfvisionError):
    """A camera or video cannot be opened, read, or is not what the site file says."""


class ModelError(ShelfvisionError):
    """A model file is missing, damaged, or not the model that it should be."""


class DataError(ShelfvisionError):
    """A dataset, picture or annotation file is missing, damaged, or not what its format promises."""


class TrainingError(ShelfvisionError):
    """Training cannot begin or go on: settings that do not fit the data, a loss that is not finite, a full disk."""


class OutboxError(ShelfvisionError):
    """An event cannot be stored on the device (too large, disk full, file damaged)."""


class BrokerError(ShelfvisionError):
    """The MQTT broker cannot be reached or refuses us."""


class StoreError(ShelfvisionError):
    """The service's database cannot be opened, is read-only, or is of another version."""


class MalformedMessageError(ShelfvisionError):
    """A message from outside is not what its topic promises."""


class TaskConflictError(ShelfvisionError):
    """A task command lost against another one, or does not fit the task's state."""
