"""StyleGAN2 as plain PyTorch: the networks, their arithmetic and their description."""
