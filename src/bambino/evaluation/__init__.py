"""What a model can do, what it forgot, and how sure we are. From Python `suite.evaluate`, else `bambino evaluate`."""


class EvaluationError(ValueError):
    """Something an evaluation was asked for that cannot be had; the message names it and the way out."""
