"""What is said to someone whose request is not served: one sentence, what to do, and never what the request said."""


class Refusal(Exception):
    """A request that is not served; `status` is HTTP's."""

    def __init__(self, status: int, message: str, hint: str = "", wait_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.wait_s = status, message, hint, wait_s


def no_entry() -> Refusal:
    """Returns what someone is told who does not come by the address that the terminal shows."""
    return Refusal(403, "This page is not open to you.", "Scan the QR code in the terminal again, or type the whole address.")


def nothing_here() -> Refusal:
    """Returns what is said of any other address."""
    return Refusal(404, "There is nothing at this address.", "Go back to the page with the pages of your printout.")


def too_many() -> Refusal:
    """Returns what someone is told who asks too often."""
    return Refusal(429, "Too many requests came from this device.", "Wait a few seconds; photos not yet sent are sent then.", 5)


def too_busy() -> Refusal:
    """Returns what is said while as much is being done as there may be."""
    return Refusal(503, "Many photos are on their way already.", "Wait a few seconds; this one is sent then.", 3)
