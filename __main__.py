"""The program: read the stack file, plan, place, and report what runs where."""

import pulumi

from components import config
from components.environment import Environment
from components.placement import Placement

settings, secrets = config.load()
placement = Placement(settings, secrets)
placement.warn()

environment = Environment(pulumi.get_stack(), placement.environment)

pulumi.export("namespace", settings.namespace)
pulumi.export("runners", placement.summary)
