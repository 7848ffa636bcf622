"""The network: encoder, iterative regressor, discriminator and the Keras model that trains them."""
