"""The type of tensors in annotations."""

from typing import Any

# A tensor or array of the backend that Keras runs on; the docstrings give its shape.
Tensor = Any
