"""A house with electric heating under a tariff with a dear evening; outside is the weather of a real winter."""

import csv
import math
from pathlib import Path

import gymnasium
import numpy as np

HOURS = 7 * 24  # of an episode
LEVELS = 5  # of the heating: off to full, in equal steps
LEAKS = 1 / 40  # share of the difference to outside that is lost in an hour
WARMS = 2.0  # degrees an hour at full power
KILOWATTS = 6.0  # at full power
DISCOMFORT = 0.4  # what a degree too cold or too warm costs in an hour


def price(hour):
    """Of a kilowatt-hour: cheap at night, dear from 17 to 21 o'clock."""
    if 17 <= hour < 21:
        return 0.45
    return 0.10 if hour >= 23 or hour < 6 else 0.20


def least(hour):
    """The temperature below which it is too cold: people sleep at night."""
    return 20.0 if 6 <= hour < 23 else 16.0


def thermostat(observation):
    """The rule of thumb: full power while it is too cold, else off."""
    indoor, _, wanted, *_ = observation
    return LEVELS - 1 if indoor < wanted + 0.5 else 0


class House(gymnasium.Env):
    """Each hour one chooses how much to heat. The reward is what it costs, in money and in discomfort, negative."""

    metadata = {  # noqa: RUF012 - as Gymnasium has it
        "observations": ["indoor", "outdoor", "least", "price", "price_in_3_hours", "hour_sin", "hour_cos"]
    }

    def __init__(self, warmest=24.0):
        with (Path(__file__).parent / "heating.csv").open() as file:
            self.outside = [float(row["temperature"]) for row in csv.DictReader(file)]
        self.warmest = warmest
        self.observation_space = gymnasium.spaces.Box(-100.0, 100.0, (7,))
        self.action_space = gymnasium.spaces.Discrete(LEVELS)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        days = (len(self.outside) - HOURS) // 24
        self.start = 24 * int(self.np_random.integers(days))
        self.passed = 0
        self.indoor = float(self.np_random.uniform(17.0, 22.0))
        return self._observation(), {}

    def step(self, action):
        share = int(action) / (LEVELS - 1)
        outdoor = self.outside[self.start + self.passed]
        cost = KILOWATTS * share * price(self.passed % 24)
        self.indoor += WARMS * share - LEAKS * (self.indoor - outdoor)
        self.passed += 1
        hour = self.passed % 24
        wrong = max(0.0, least(hour) - self.indoor) + max(0.0, self.indoor - self.warmest)
        return self._observation(), -cost - DISCOMFORT * wrong, False, self.passed == HOURS, {}

    def _observation(self):
        hour = self.passed % 24
        angle = 2 * math.pi * hour / 24
        outdoor = self.outside[self.start + self.passed]
        return np.array(
            [
                self.indoor, outdoor, least(hour), price(hour), price((hour + 3) % 24),
                math.sin(angle), math.cos(angle),
            ],
            dtype=np.float32,
        )  # fmt: skip
