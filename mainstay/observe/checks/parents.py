"""Which checks a check needs: pure graph functions over ids."""

from collections.abc import Iterable, Mapping


def reachable(start: int, edges: Mapping[int, Iterable[int]]) -> set[int]:
    """Return all that `start` needs, directly or through others, without `start`."""
    found: set[int] = set()
    work = list(edges.get(start, ()))
    while work:
        node = work.pop()
        if node not in found:
            found.add(node)
            work.extend(edges.get(node, ()))
    return found - {start}


def parents(
    checks: Iterable[tuple[int, int | None, int | None]],
    needs: Mapping[int, Iterable[int]],
    components: Mapping[int, Iterable[int]],
) -> dict[int, frozenset[int]]:
    """Return for each check the checks whose being down makes it unreachable.

    Args:
        checks: (check, component or None, environment or None) each.
        needs: check → checks it names itself.
        components: component → components it depends on. Their checks count in the same environment (or in none).
    """
    rows = list(checks)
    on: dict[int, list[tuple[int, int | None]]] = {}
    for check, component, environment in rows:
        if component is not None:
            on.setdefault(component, []).append((check, environment))
    below = {component: reachable(component, components) for component in on}
    found: dict[int, frozenset[int]] = {}
    for check, component, environment in rows:
        mine = reachable(check, needs)
        for needed in below.get(component, ()) if component is not None else ():
            mine |= {
                other
                for other, place in on.get(needed, ())
                if place == environment or place is None or environment is None
            }
        mine.discard(check)
        if mine:
            found[check] = frozenset(mine)
    return _without_cycles(found)


def _without_cycles(found: Mapping[int, frozenset[int]]) -> dict[int, frozenset[int]]:
    """Return `found` without those that need each other in a circle.

    Named needs and components are each free of cycles, but not together. Were two checks each other's excuse, both
    could be down and nobody would be paged.
    """
    ways = {check: reachable(check, found) for check in set().union(*found.values()) & found.keys()}
    kept = {
        check: frozenset(other for other in others if check not in ways.get(other, ()))
        for check, others in found.items()
    }
    return {check: others for check, others in kept.items() if others}
