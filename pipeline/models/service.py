"""A classifier that answers over HTTP: predictions only, as a judge; docs/models.md says what it is sent and what it answers."""

import base64
import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch

from pipeline.core.errors import BadInput, Unavailable, WrongUse
from pipeline.images import png_bytes, shown, to_pixels
from pipeline.images.formats import reason
from pipeline.models.class_names import n_classes_told
from pipeline.models.classifier import BATCH_SIZE, Classifier, device_for, fingerprint_of
from pipeline.models.outputs import N_PROBES, Scores, as_probabilities, find_scores, named_outputs, probes
from pipeline.models.preprocessing import preprocessing_for
from pipeline.settings import ModelSettings

TIMEOUT_S = 60.0
# Waits before a request is repeated, where the service cannot be reached or is busy.
RETRY_WAITS_S = (0.5, 2.0)


class ServiceClassifier(Classifier):
    """A service that is sent PNG files at the input size and answers with scores or labels; see `Classifier`.

    Its weights are out of sight: its fingerprint is that of its address and of its answers to a few pictures.
    """

    differentiable = False

    def __init__(self, url: str, settings: ModelSettings, device: str) -> None:
        """Asks about a few pictures, from grey to noise, finds the scores in the answer, and names the classes."""
        self.name, self._url = settings.name, url
        _check_address(url)
        self.device = device_for(device)
        self.preprocessing = preprocessing_for(settings, None)
        if settings.mean or settings.std:
            raise WrongUse(f"{self.name} is sent pictures and normalises them itself.", "Leave model.mean and model.std out.")
        outputs = self._outputs(to_pixels(probes(self.input_size)))
        n_known = n_classes_told(settings.classes, settings.n_classes)
        found = find_scores(self.name, outputs, N_PROBES, settings.output, n_known)
        self._scores: Scores = as_probabilities(found, outputs)
        self.n_classes = self._scores.n_classes
        self._name_classes(settings)
        answers = outputs[self._scores.output].numpy().tobytes()
        self.fingerprint = fingerprint_of(url, self.preprocessing, [("answers", answers)])

    @property
    def n_ranked(self) -> int:
        return self._scores.n_ranked

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        self._check_input(x)
        if x.requires_grad and torch.is_grad_enabled():
            raise WrongUse(f"{self.name} gives predictions only, so a gradient attack cannot be run on it.")
        return self._scores.logits(self._outputs(to_pixels(x.cpu())), len(x)).to(self.device)

    def predict(self, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Returns probabilities as every classifier does; a service is never asked about copies that fill up a batch."""
        self._check_images(images)
        rows = [np.empty((0, self.n_classes), np.float32)]
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            logits = self._scores.logits(self._outputs(batch), len(batch))
            rows.append(torch.softmax(logits, dim=1).numpy())
        probabilities = np.concatenate(rows)
        self._check_finite(probabilities)
        return probabilities

    def _outputs(self, images: np.ndarray) -> dict[str, torch.Tensor]:
        request = {"images": [base64.b64encode(png_bytes(image)).decode() for image in images]}
        answer = self._asked(json.dumps(request).encode())
        if not isinstance(answer, dict):
            raise BadInput(f"{self.name} answers with {type(answer).__name__}, not with an object.", "See docs/models.md.")
        try:
            found = named_outputs({key: value for key, value in answer.items() if isinstance(value, list)})
        except ValueError as error:  # rows of unequal length
            raise BadInput(f"{self.name} answers with rows of unequal length.", "See docs/models.md.") from error
        # JSON writes 1.0 as 1: rows of whole numbers are scores too
        return {key: value.float() if value.dtype == torch.int64 and value.ndim > 1 else value for key, value in found.items()}

    def _asked(self, body: bytes) -> Any:
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json", "Accept": "application/json"})
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                    return json.loads(response.read())
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in (429, 502, 503, 504) or wait_s is None:
                        raise BadInput(
                            f"{self.name} refuses: HTTP {error.code} {error.reason}.", "See docs/models.md."
                        ) from error
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{self.name} does not answer with JSON.", "See docs/models.md.") from error
            except (OSError, HTTPException) as error:  # what an answer breaks off with is no OSError
                if wait_s is None:
                    why = getattr(error, "reason", "")  # urllib wraps what the system said
                    what = f"{self.name} cannot be reached: {reason(why if isinstance(why, OSError) else error)}."
                    raise Unavailable(what, "Start the service, or correct its address.") from error
            time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")


def _check_address(url: str) -> None:
    """Refuses what is no address; raises WrongUse."""
    try:
        parts = urlsplit(url)
        is_address = bool(parts.hostname) and parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:  # a port that is no number, or is beyond the last
        is_address = False
    if not is_address:
        raise WrongUse(f"{shown(url)} is no address of a service.", "Write it as http://HOST:PORT/PATH.")


def load_service(scheme: str) -> Any:
    """Returns the loader of addresses that begin with the scheme."""

    def load(name: str, settings: ModelSettings, device: str) -> Classifier:
        return ServiceClassifier(f"{scheme}:{name}", settings, device)

    return load


load_http, load_https = load_service("http"), load_service("https")
