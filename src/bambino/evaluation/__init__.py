"""What a model can do, what it forgot, and how sure we are. From Python `suite.evaluate`, else `bambino evaluate`."""

from __future__ import annotations
