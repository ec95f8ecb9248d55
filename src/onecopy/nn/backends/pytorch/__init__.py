"""Modules, exported programs and TorchScript, by PyTorch."""
