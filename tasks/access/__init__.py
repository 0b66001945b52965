"""Who may do what: roles, rights, and the people who have them. Knows neither Redis nor pages.

A right is named once, in `rights`, with the role that it takes. `tasks.ledger.control` asks for it where the thing is
done; a page or command that forgets to ask first changes nothing.
"""

from tasks.access.person import NOBODY, PROGRAM, Person, hides
from tasks.access.rights import NEEDS, Right, Role, at_least
from tasks.access.roles import RolesFile, read

__all__ = ["NEEDS", "NOBODY", "PROGRAM", "Person", "Right", "Role", "RolesFile", "at_least", "hides", "read"]
