"""Looking into a trained network: one function a method, tensors in, tensors out, for any module."""
