"""The alerts and the dashboard: promtool, and a real Prometheus that scrapes a real sesgate."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .common import Tools, Wrong

PATIENCE = 30
# What Grafana fills in.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$instance": ".*"}


def prometheus(docker: Path, tools: Tools) -> str:
    folder, dashboard = docker / "prometheus", docker / "grafana/sesgate.json"
    queries = list(queries_of(json.loads(dashboard.read_text())))
    if not (promtool := tools.find("promtool", "the alerts and the dashboard's queries")):
        return "the dashboard's form"
    tools.run(promtool, "check", "config", "prometheus.yaml", cwd=folder)
    tools.run(promtool, "test", "rules", "rules-test.yaml", cwd=folder)
    tested = set(re.findall(r'alertname="(\w+)"', (folder / "rules-test.yaml").read_text()))
    alerts = set(re.findall(r"- alert: (\w+)", (folder / "rules.yaml").read_text()))
    if alerts != tested:
        raise Wrong(f"alerts without a test, or tests without an alert: {sorted(alerts ^ tested)}")
    if not tools.sesgate:
        tools.unchecked.append("the dashboard's queries (no sesgate under target/)")
        return f"{len(alerts)} alerts"
    asked = scrape(docker, tools, queries)
    return f"{len(alerts)} alerts, {asked} queries of the dashboard against a scraped sesgate"


def queries_of(dashboard):
    """Each panel's queries as Prometheus takes them; no two panels lie upon each other."""
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if cells & taken or at["x"] + at["w"] > 24:
            raise Wrong(f"grafana/sesgate.json: the panel {panel['title']} lies upon another or beyond the edge")
        taken |= cells
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def scrape(docker: Path, tools: Tools, queries) -> int:
    """Has Prometheus scrape sesgate, and asks it everything that the dashboard asks."""
    folder = tools.directory()
    ports = {name: port() for name in ("2525", "8025", "prometheus")}
    shutil.copytree(docker.parent / "config", folder / "config")
    config = folder / "config/sesgate.toml"
    text = config.read_text().replace("127.0.0.1:2525", f"127.0.0.1:{ports['2525']}")
    text = text.replace("127.0.0.1:2465", "127.0.0.1:0").replace("127.0.0.1:2526", "127.0.0.1:0")
    config.write_text(text.replace("127.0.0.1:8025", f"127.0.0.1:{ports['8025']}"))
    shutil.copytree(docker / "prometheus", folder / "prometheus")
    scraped = folder / "prometheus/prometheus.yaml"
    text = scraped.read_text().replace(":8025", f":{ports['8025']}").replace("15s", "1s")
    scraped.write_text(text)
    address = f"127.0.0.1:{ports['prometheus']}"
    commands = [
        [tools.sesgate, "serve", "--config", config],
        ["prometheus", f"--config.file={scraped}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"],
    ]
    running = []
    try:
        for command in commands:
            log = (folder / f"{len(running)}.log").open("w")
            running.append(subprocess.Popen([str(word) for word in command], stdout=log, stderr=log))
        end = time.monotonic() + PATIENCE
        while ask(address, 'sesgate_ready{job="sesgate"}') != ["1"]:
            if time.monotonic() > end:
                raise Wrong("Prometheus did not scrape sesgate: " + (folder / "1.log").read_text()[-500:])
            time.sleep(0.2)
        for title, query in queries:
            try:
                ask(address, query, strict=True)
            except urllib.error.HTTPError as error:
                raise Wrong(f"grafana/sesgate.json, {title}: {query}: {error.read().decode()}") from None
        return len(queries)
    finally:
        for process in running:
            process.terminate()
            process.wait(20)


def ask(address: str, query: str, strict: bool = False) -> list[str]:
    """The values that Prometheus finds; none while it does not answer yet."""
    url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return [one["value"][1] for one in json.load(answer)["data"]["result"]]
    except urllib.error.HTTPError:
        if strict:
            raise
    except OSError:
        if strict:
            raise Wrong("Prometheus ended") from None
    return []


def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
