"""Dependencies as a graph: pure."""

from collections.abc import Iterable, Mapping


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return a cycle of `edges` (node → nodes it needs) as `[a, b, a]`, or None.

    Iterative, so that a chain of thousands cannot exhaust the stack.
    """
    done: set[str] = set()
    for root in edges:
        path: list[str] = []
        place: dict[str, int] = {}
        work: list[tuple[str, bool]] = [(root, False)]
        while work:
            node, leaving = work.pop()
            if leaving:
                path.pop()
                del place[node]
                done.add(node)
                continue
            if node in place:
                return [*path[place[node] :], node]
            if node in done:
                continue
            place[node] = len(path)
            path.append(node)
            work.append((node, True))
            work.extend((needed, False) for needed in edges.get(node, ()))
    return None
