"""The checks of docker/check, one file a kind of deployment.

A check takes the folder `docker` and its tools. It returns what it looked at, raises `Wrong` with all
that is wrong, and notes in `unchecked` what could not be looked at here.
"""

from .common import Tools, Wrong
from .compose import compose
from .ecs import ecs
from .helm import helm
from .kubernetes import kubernetes
from .prometheus import prometheus
from .starts import starts
from .story import story
from .systemd import systemd
from .terraform import terraform

CHECKS = {
    "compose": compose,
    "ecs": ecs,
    "systemd": systemd,
    "kubernetes": kubernetes,
    "helm": helm,
    "terraform": terraform,
    "prometheus": prometheus,
    "containers": starts,
    "mail through compose-ses": story,
}

__all__ = ["CHECKS", "Tools", "Wrong"]
