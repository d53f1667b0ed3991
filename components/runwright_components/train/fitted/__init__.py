"""Models that scikit-learn fits at once: isolation forest, k-means, Gaussian mixture.

What it finds is filled into a module of `runwright_components.models`, whose weights and graph are written like any
other's; nothing of scikit-learn is stored or served.
"""
