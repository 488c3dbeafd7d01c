"""Whether rates of requests leave each sequence the time that it has."""

from __future__ import annotations

from sequence_tutor.rewards.config import RewardConfig


def check_rates(config: RewardConfig, scorers: int) -> None:
    """Raises ValueError where a sequence may have to wait for its slot beyond its deadline: up to
    `waiting` others may be ahead of it."""
    for one in config.component:
        rate = one.options.get("rate")
        if one.name != "rest" or not isinstance(rate, (int, float)) or not rate > 0:
            continue
        wait_s = (config.waiting + 1) * scorers / rate
        if wait_s >= config.timeout_s:
            raise ValueError(
                f"component 'rest': rate = {rate:g}, shared by {scorers} scorers, lets a sequence "
                f"wait for up to {wait_s:g} s ({config.waiting} others are ahead), beyond "
                f"reward.timeout_s = {config.timeout_s:g}: lower scorers.count or reward.waiting, "
                "or raise reward.timeout_s"
            )
