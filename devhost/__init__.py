"""Runs an Azure Functions app for Python on one machine, with the manners of the real host.

The app is the very ``FunctionApp`` object that runs on Azure; nothing of it is replaced. What the host does around it
(routes, keys, the Event Grid endpoint, queue polling with poison queues, timers) is done here the way
https://github.com/Azure/azure-functions-host and the WebJobs extensions do it, so that a surprise happens on the laptop
and not in the subscription.

Not meant for production: one process, one instance, HTTP only.
"""

from devhost.clock import Clock, SystemClock
from devhost.host import DevHost
from devhost.keys import Keys
from devhost.loading import LoadedFunction, LoadError, find_app, load_functions
from devhost.settings import HostSettings, SettingsError

__all__ = [
    "Clock",
    "DevHost",
    "HostSettings",
    "Keys",
    "LoadError",
    "LoadedFunction",
    "SettingsError",
    "SystemClock",
    "find_app",
    "load_functions",
]
