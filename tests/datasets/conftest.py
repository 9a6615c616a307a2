"""No test of this folder reads the user's cache or data, or the network."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest


@pytest.fixture(autouse=True)
def on_its_own(monkeypatch, tmp_path_factory, request):
    monkeypatch.setenv("ARISTOTYPE_CACHE", str(tmp_path_factory.mktemp("cache")))
    if "data_folder" not in request.fixturenames:
        monkeypatch.delenv("ARISTOTYPE_DATA", raising=False)

    def refuse(request, timeout=None):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
