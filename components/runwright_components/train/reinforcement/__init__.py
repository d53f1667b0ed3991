"""Reinforcement learning by Stable-Baselines3 (Raffin et al. 2021), with the model's folder of every other family.

Importing this package is light; Gymnasium and Stable-Baselines3 are loaded when an agent learns.
"""
