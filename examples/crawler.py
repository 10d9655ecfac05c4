"""
Crawl several hosts with many workers: each host at its own pace.

A page is fetched once, whoever finds it first, and a host that is down is soon
left alone, so that the workers are there for the others.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from urllib.parse import urlsplit

from switchgear import CircuitOpenError, protected, registry


#: Which pages link to which. Everything at b.example is down.
WEB = {
    "https://a.example/": ["https://a.example/1", "https://b.example/"],
    "https://a.example/1": ["https://a.example/", "https://c.example/"],
    "https://c.example/": [f"https://b.example/{number}" for number in range(8)],
}

seen = registry.unique("pages")
fetched = registry.counter("fetched")
failed = registry.counter("failed")
refused = registry.counter("refused")


def host_of(url: str) -> str:
    """
    Return the key: what shares a limiter and a circuit.
    """
    return urlsplit(url).netloc


@protected(
    "hosts", key=host_of, calls_per_second=50, burst=1, threshold=3, cooldown=60.0
)
def fetch(url: str) -> list[str]:
    """
    Return the links of a page.
    """
    if host_of(url) == "b.example":
        raise TimeoutError(url)
    return WEB.get(url, [])


def visit(url: str) -> list[str]:
    """
    Fetch a page, and count how it went.
    """
    try:
        links = fetch(url)
    except CircuitOpenError:
        refused.increment()
    except TimeoutError:
        failed.increment()
    else:
        fetched.increment()
        return links
    return []


def crawl(start: str) -> None:
    """
    Visit every page that can be reached from *start*.
    """
    with ThreadPoolExecutor(8) as pool:
        seen.add(start)
        running: set[Future[list[str]]] = {pool.submit(visit, start)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                # True for one of those who find it, however many there are.
                new = [link for link in future.result() if seen.add(link)]
                running |= {pool.submit(visit, link) for link in new}


def main() -> None:
    """
    Crawl, and tell what was found.
    """
    crawl("https://a.example/")
    print("pages:", len(seen))
    print("fetched:", fetched.value)
    # Calls that were under way when the circuit opened are not called back.
    print(f"failed: {failed.value}, refused: {refused.value}")
    breakers = registry.keyed_breaker("hosts")
    for host in sorted(breakers):
        print(f"{host}: {breakers[host].snapshot().state.name}")


if __name__ == "__main__":
    main()
