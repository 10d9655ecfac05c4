"""
Named instances: defined once, found everywhere.
"""

# ruff: noqa: SLF001 -- a registry and what it holds know each other

from __future__ import annotations

from os import fsdecode
from os.path import abspath
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

from switchgear import _config, _environment, _fork
from switchgear._caller import caller
from switchgear._counter import AtomicCounter
from switchgear._definition import (
    CLASSES,
    build,
    contradiction,
    effective,
    kept,
    same,
    settled,
)
from switchgear._entry import DEFINABLE, Cell, Entries, Entry
from switchgear._keyed import MAX_KEYS, Keyed
from switchgear._layers import MAPPING, NO_LAYERS, Layers, Said, layers_of
from switchgear._orders import each, surely
from switchgear._plain import plain, state_of
from switchgear._set import ThreadSafeSet
from switchgear._shown_key import shown_key
from switchgear._validate import required_name
from switchgear._world import World, outer_of
from switchgear.errors import ConfigurationError, UnknownNameError


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from os import PathLike
    from typing import Unpack

    from switchgear._breaker import CircuitBreaker
    from switchgear._clock import Clock
    from switchgear._definition import BreakerDefinition, LimiterDefinition
    from switchgear._limiter import RateLimiter


class Registry:
    """
    Hold named limiters, breakers, counters and sets.

    A name is defined once, anywhere, and found from everywhere; a limiter and
    a breaker (a counter, a set) may share it. Defining it again is fine as
    long as the definitions agree: that is compared setting by setting, as
    they are after validation and with defaults filled in, so ``burst=1``
    agrees with no *burst*, and 5 with 5.0. Objects (clocks, functions) agree
    if they are equal.

    ``name in registry`` and iteration answer for names of every kind. Safe to
    use from any number of threads; racing creators get the same object.

    ``switchgear.registry`` is the one that decorators use by default. What is
    named in it can be pickled and copied, and arrives as what goes by that
    name (or template name and key) at the other end; its definition travels
    along, and must agree with one that is there.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        # Guards what belongs together: an entry, its instance, its cells.
        # Instances are made, asked and changed outside of it.
        self._lock = RLock()
        #: The one outside of all isolated blocks, and that of each of those.
        self._worlds = [World()]
        # The rest is that of the last of them, where it is found more quickly.
        self._entries: Entries = self._worlds[-1].entries
        #: What was defined outside of an isolated block: defined inside as
        #: well, unless the block says otherwise.
        self._outer: Entries = {}
        #: What lies between code and run time. Replaced as a whole.
        self._layers = NO_LAYERS
        #: The clock of those whose definition names none; None: the machine's.
        self._clock: Clock | None = None
        _fork.track(self)

    # Looking up and defining

    def limiter(
        self, name: str, **definition: Unpack[LimiterDefinition]
    ) -> RateLimiter:
        """
        Return the limiter called *name*; define it if a definition is given.

        Args:
            name: 1 to 200 characters; no control characters, no brackets.
            definition: The settings of :class:`RateLimiter`; *max_keys* is
                for :meth:`keyed_limiter`. One that takes all defaults still
                has to give one of them: nothing at all is a look-up.

        Raises:
            UnknownNameError: If nothing is given and the name is not defined.
            ConfigurationError: If the name is defined otherwise already; says
                where both definitions are.
            TypeError, ValueError: If the name or a setting is not allowed.
        """
        limiter: RateLimiter = self._instance("limiter", name, definition)
        return limiter

    def breaker(
        self, name: str, **definition: Unpack[BreakerDefinition]
    ) -> CircuitBreaker:
        """
        Return the breaker called *name*; define it if a definition is given.

        As :meth:`limiter`, with the settings of :class:`CircuitBreaker`.
        """
        breaker: CircuitBreaker = self._instance("breaker", name, definition)
        return breaker

    def keyed_limiter(
        self, name: str, **definition: Unpack[LimiterDefinition]
    ) -> Keyed[RateLimiter]:
        """
        Return the limiters called *name*, one per key, all defined alike.

        The definition of *name* is their template; it is the same one that
        :meth:`limiter` takes, whichever comes first. The instance of a key
        shows itself as ``name[key]``.

        Args:
            name: As for :meth:`limiter`.
            definition: As for :meth:`limiter`; *max_keys* is how many keys
                are kept before idle ones are forgotten.

        Raises:
            UnknownNameError, ConfigurationError, TypeError, ValueError: As
                :meth:`limiter`.
        """
        return self._template("limiter", name, definition)

    def keyed_breaker(
        self, name: str, **definition: Unpack[BreakerDefinition]
    ) -> Keyed[CircuitBreaker]:
        """
        Return the breakers called *name*, one per key, all defined alike.

        As :meth:`keyed_limiter`, with the settings of :class:`CircuitBreaker`.
        """
        return self._template("breaker", name, definition)

    def counter(self, name: str) -> AtomicCounter:
        """
        Return the counter called *name*, made when first asked for.

        There is nothing to define, so a misspelt name is a new counter.
        """
        entry = self._find("counter", name)
        if entry is None:
            entry = self._put(Entry("counter", name, {}, {}, ""), AtomicCounter)
        counter: AtomicCounter = entry.instance
        return counter

    def unique(self, name: str, *, max_size: int | None = None) -> ThreadSafeSet[Any]:
        """
        Return the :class:`ThreadSafeSet` called *name*, made when first asked for.

        Args:
            name: As for :meth:`limiter`. A misspelt name is a new set.
            max_size: How many items are remembered at most, if it is made
                now. None: all, or whatever the set that is there does.

        Raises:
            ConfigurationError: If the set is there with another *max_size*.
            TypeError, ValueError: If an argument is not allowed.
        """
        entry = self._find("unique", name)
        if entry is None or max_size is not None:
            made: ThreadSafeSet[Any] = ThreadSafeSet(max_size=max_size)
            settings = {"max_size": made.max_size}
            new = Entry("unique", name, settings, settings, caller())
            entry = self._put(new, lambda: made)
            if max_size is not None:
                entry.check_agreement(new)
        unique: ThreadSafeSet[Any] = entry.instance
        return unique

    # Looking around

    def names(self) -> tuple[str, ...]:
        """
        Return every name that is defined, of whatever kind, in order.

        Those that only a file or mapping defines included. (In the environment
        a name cannot be told from others that look alike.)
        """
        known = [*list(self._entries), *self._layers.file]
        return tuple(sorted({name for _, name in known}))

    def __contains__(self, name: object) -> bool:
        return any(
            (kind, name) in self._entries or (kind, name) in self._layers.file
            for kind in _KINDS
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def snapshot(self) -> dict[str, Any]:
        """
        Return the state of everything, ready for ``json.dumps``.

        Under ``limiters``, ``breakers``, ``counters`` and ``uniques`` by name;
        under ``templates`` again ``limiters`` and ``breakers``, with a list of
        the keyed instances of each. What is defined but was never used has no
        state, and is not there.
        """
        templates: dict[str, Any] = {"limiters": {}, "breakers": {}}
        shown: dict[str, Any] = {f"{kind}s": {} for kind in _KINDS}
        for entry in self._sorted():
            if entry.instance is not None:
                shown[f"{entry.kind}s"][entry.name] = state_of(entry.instance)
            if entry.template is not None:
                templates[f"{entry.kind}s"][entry.name] = {
                    "max_keys": entry.template.max_keys,
                    "instances": plain(entry.template.snapshot().values()),
                }
        return {**shown, "templates": templates}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._entries)}>"

    def __reduce__(self) -> str:
        if self is registry:
            return "registry"
        msg = (
            "a Registry cannot be pickled or copied: only the default one, and"
            " what is named in it, can"
        )
        raise TypeError(msg)

    # Configuring

    def load(self, path: str | PathLike[str]) -> Changes:
        """
        Read a TOML file, and the environment; apply both, also to what lives.

        Tables ``[limiters.NAME]`` and ``[breakers.NAME]`` hold settings of
        :class:`RateLimiter` and :class:`CircuitBreaker`, and *max_keys*. They
        lie over what the code says, key by key, whichever came first; over
        them lie the environment (``SWITCHGEAR_LIMITERS__IMAGES__BURST=3``) and
        what was changed at run time. A name without code is made on look-up.
        Another file lies over those loaded before, which are not read again;
        the same one replaces what it said. The file is the one that *path*
        leads to now, whatever the working directory is later.

        Live instances keep debt, queue, state and window. Threads may load at
        once: what is loaded last holds.

        Returns:
            What changed: old and new value by key path, as in
            ``{"limiters.images.burst": (1, 3)}``; None where there is none.

        Raises:
            ConfigurationError: Lists every problem, each with its key path.
                Nothing is changed then.
            OSError: If the file cannot be read.
        """
        source = fsdecode(path)
        # Links stay: a later reload follows them to where they lead then.
        absolute = abspath(source)  # noqa: PTH100 -- resolve() follows them now
        return self._configure({absolute: source})

    def configure(self, tables: Mapping[str, Any]) -> Changes:
        """
        Apply *tables*, as :meth:`load` does a file: ``{"limiters": {...}}``.

        Another call replaces what the one before said. The environment is
        read as well, other files are not.
        """
        return self._configure({}, tables)

    def reload(self) -> Changes:
        """
        Read all files and the environment again, as :meth:`load`.
        """
        said = self._layers.said.items()
        return self._configure(
            {path: source for path, (source, _) in said if path != MAPPING}
        )

    def _configure(
        self, files: dict[str, str], tables: Mapping[str, Any] | None = None
    ) -> Changes:
        """
        Read *files*, by path, shown as written, and *tables*; apply them.
        """
        given: dict[str, tuple[str, Mapping[str, Any]]] = {
            path: (source, _config.read(path, source)) for path, source in files.items()
        }
        if tables is not None:
            given[MAPPING] = "mapping", tables
        said: dict[str, Said] = {}
        problems: list[str] = []
        for path, (source, one) in given.items():
            layer, wrong = _config.layer_of(one, source)
            said[path] = Said(source, layer)
            problems += wrong
        while True:
            before = self._layers
            after, wrong = layers_of({**before.said, **said})
            _insist([*problems, *wrong, *self._objections(after)])
            try:
                if self._go_on_with(before, after):
                    break
            except ConfigurationError:
                raise
            except BaseException:
                if self._layers is after:
                    # Interrupted: some that live may not have heard of it.
                    self._adopt_all(before, after)
                raise
        changes: dict[str, tuple[Any, Any]] = {}
        for kind, name in sorted({*before.file, *after.file, *self._entries.copy()}):
            if kind in DEFINABLE:
                changes |= self._changes(kind, name, before, after)
        return changes

    def _go_on_with(self, before: Layers, after: Layers) -> bool:
        """
        Have all go on with *after*, unless *before* is not what is any more.
        """
        with self._lock:
            if self._layers is not before:
                return False
            self._layers = after
        self._adopt_all(before, after)
        return True

    def _adopt_all(self, before: Layers, after: Layers) -> None:
        """
        Have all that lives go on with *after*; if one cannot, with *before*.
        """
        problems: list[str] = []

        def adopt(entry: Entry) -> None:
            problems.extend(self._adopt(entry))

        try:
            # Those that were made since objections were looked for as well.
            each(self._sorted(), adopt)
        finally:
            if problems:
                # Changed at run time since then: as if that had come first.
                with self._lock:
                    if self._layers is after:
                        self._layers = before
                # What cannot go back either was changed once more: say so, too.
                each(self._sorted(), adopt)
        if problems:
            raise ConfigurationError(dict.fromkeys(problems))

    def _changes(
        self, kind: str, name: str, before: Layers, after: Layers
    ) -> dict[str, tuple[Any, Any]]:
        entry = self._entries.get((kind, name))
        code = {} if entry is None else entry.code
        lives = entry is not None and bool(entry.things())
        old, new = (
            effective(kind, layers.over(kind, name, code))
            if code or lives or layers.know(kind, name)
            else {}
            for layers in (before, after)
        )
        return {
            f"{kind}s.{name}.{key}": (old.get(key), new.get(key))
            for key in {**old, **new}
            if old.get(key) != new.get(key)
        }

    def _objections(self, layers: Layers) -> list[str]:
        """
        Return everything that cannot go on, or cannot be made, with *layers*.
        """
        problems: list[str] = []
        known = sorted(
            key
            for key in {*self._entries.copy(), *self._outer, *layers.file}
            if key[0] in DEFINABLE
        )
        for kind, name in known:
            entry = self._entries.get((kind, name)) or self._inherited(kind, name)
            if entry is not None and (entry.code or entry.things()):
                problems += entry.objections(layers.over(kind, name, entry.code))
            elif wrong := contradiction(kind, layers.over(kind, name, {})):
                problems.append(f"{kind}s.{name}: {wrong}")
        seen = {(kind, _environment.normalised(name)) for kind, name in known}
        for kind, name in sorted(layers.environment.keys() - seen):
            if wrong := contradiction(kind, layers.environment[kind, name]):
                problems.append(f"environment: {kind}s.{name}: {wrong}")
        return problems

    def _adopt(self, entry: Entry, *, forget: bool = False) -> list[str]:
        """
        Have what lives go on with the layers as they are; return what cannot.
        """
        if not entry.definable:
            return []

        def follow(thing: Any) -> None:
            if isinstance(thing, Keyed):
                thing._max_keys = definition.get("max_keys", MAX_KEYS)
            thing._configure_like(pattern, forget=forget)

        while True:
            problems: list[str] = []
            layers, code = self._layers, entry.code
            definition = layers.over(entry.kind, entry.name, code)
            things = entry.things()
            try:
                # One for all of them: a template may have a thousand.
                pattern = build(entry.kind, None, definition) if things else None
                each(things, follow)
            except (TypeError, ValueError) as error:
                problems = [f"{entry.kind}s.{entry.name}: {error}"]
            if self._layers is layers and entry.code is code:
                return problems

    # Changing

    def remove(self, name: str) -> None:
        """
        Forget *name*, of whatever kinds it is; tables of files stay.

        Who holds an instance keeps it, but it has no name to be pickled by any
        more. Functions decorated with the name look it up again.

        Raises:
            UnknownNameError: If nothing goes by that name.
        """
        self._named(name, *_KINDS)
        with self._lock:
            there = [self._entries.get((kind, name)) for kind in _KINDS]
            removed = [entry for entry in there if entry is not None]
            surely(lambda: self._forget(name, removed))
        each(removed, lambda entry: entry.send_away())

    def _forget(self, name: str, removed: list[Entry]) -> None:
        for entry in removed:
            key = entry.kind, name
            # Not what a signal handler defined since; and no call in between.
            if key in self._entries and self._entries[key] is entry:
                del self._entries[key]
        self._worlds[-1].hidden.add(name)
        self._outer = outer_of(self._worlds)
        for entry in removed:
            entry.empty_cells()

    def reset(self, name: str | None = None) -> None:
        """
        Bring the state of *name*, or of everything, back to fresh.

        Full buckets, closed circuits, counters at zero, empty sets. Settings
        stay, those changed at run time too.

        Raises:
            UnknownNameError: If nothing goes by that name.
        """

        def reset(entry: Entry) -> None:
            if entry.kind == "unique":
                entry.instance.clear()
            else:
                each(entry.things(), lambda thing: thing.reset())

        each(self._sorted() if name is None else self._named(name, *_KINDS), reset)

    def close(self, reason: str = "") -> None:
        """
        Close every limiter: whoever waits gets ``RateLimitExceeded``.

        This is how a program shuts down its workers. Those of templates are
        closed too, for keys to come as well, and those that were defined but
        never used. Names defined afterwards start open.
        """

        def close(name: str) -> None:
            try:
                entry = self._entry("limiter", name)
            except ConfigurationError:
                # A table that makes no sense without code that never came:
                # there is nothing to close, and the others must be.
                return
            # Made now if need be: who asks next is to find it closed.
            things = self._instance_of(entry), self._template_of(entry)
            each(things, lambda thing: thing.close(reason))

        known = sorted({*self._entries.copy(), *self._layers.file})
        each([name for kind, name in known if kind == "limiter"], close)

    def forget_changes(self, name: str) -> None:
        """
        Return to the settings of code, file and environment.

        What ``reconfigure`` changed at run time, on the instance or on the
        container of keyed ones, is taken back; debt, queue and state stay.

        Raises:
            UnknownNameError: If no limiter or breaker goes by that name.
        """
        entries = self._named(name, *DEFINABLE)
        _insist([one for entry in entries for one in self._adopt(entry, forget=True)])

    # For decorators and tests

    def _resolve(self, cell: Cell) -> Any:
        """
        Fill *cell*; return its instance, or its container of keyed ones.
        """
        while True:
            if cell.definition:
                self._define(cell.kind, cell.name, cell.definition, cell.place)
            entry = self._entry(cell.kind, cell.name)
            found = self._template_of(entry) if cell.keyed else self._instance_of(entry)
            key = cell.kind, cell.name
            with self._lock:
                entry.cells.add(cell)
                # Else it was removed meanwhile, maybe just now by a signal handler:
                # nobody would empty the cell. No call between look and store.
                if key in self._entries and self._entries[key] is entry:
                    cell.instance = found
                    return found

    def _define(
        self, kind: str, name: str, definition: dict[str, Any], place: str
    ) -> None:
        """
        Define *name* or agree; *place* says where this was asked for.
        """
        known = self._find(kind, name)
        if known is not None and same(known.code, definition):
            return
        code = kept(definition)
        entry = Entry(kind, name, code, settled(kind, code), place)
        self._check_layers(entry)
        there = self._entries.setdefault((kind, name), entry)
        if there is not entry and self._took(there, entry):
            _insist(self._adopt(there))
        there.check_agreement(entry)

    def _took(self, there: Entry, entry: Entry) -> bool:
        """
        Let *there* take its code from *entry* if it has none; say whether it did.
        """
        if not there.code and there.things():
            if entry.code.get("clock") is not None:
                msg = (
                    f"{entry.kind}s.{entry.name}.clock: {entry.code['clock']!r}"
                    f" ({entry.place}) comes too late: it was looked up already"
                )
                raise ConfigurationError(msg)
            _insist(
                there.objections(self._layers.over(there.kind, there.name, entry.code))
            )
        with self._lock:
            if there.code:
                return False
            there.code, there.settings = entry.code, entry.settings
            there.place = entry.place
            return True

    def _check_layers(self, entry: Entry) -> None:
        """
        Raise ConfigurationError if *entry* contradicts what lies over it.
        """
        layers = self._layers
        try:
            settled(entry.kind, layers.over(entry.kind, entry.name, entry.code))
        except (TypeError, ValueError) as error:
            where = f"from {layers.described()}"
            if entry.place:
                where = f"{entry.place}, with {layers.described()} over it"
            msg = f"{entry.kind}s.{entry.name}: {error} ({where})"
            raise ConfigurationError(msg) from error

    def _isolate(self, clock: Clock | None = None) -> Callable[[str], None]:
        """
        Start afresh; return the function that brings everything back.

        Definitions are inherited, instances are not; and the clock, if *clock*
        is None. The function is given the reason for sending waiters away, and
        may be called before that of a block within this one.
        """
        mine = World(self._layers, self._clock if clock is None else clock)
        self._show([*self._worlds, mine])

        def end(reason: str) -> None:
            # First: whoever waits is not to look up what is outside.
            try:
                entries = list(mine.entries.values())
                limiters = [entry for entry in entries if entry.kind == "limiter"]
                things = [thing for entry in limiters for thing in entry.things()]
                each(things, lambda thing: thing.close(reason))
            finally:
                self._show([world for world in self._worlds if world is not mine])

        return end

    def _show(self, worlds: list[World]) -> None:
        """
        Go on with the topmost of *worlds*.
        """
        with self._lock:
            before = self._worlds[-1]
            before.layers = self._layers
            self._worlds, world = worlds, worlds[-1]
            self._entries, self._outer = world.entries, outer_of(worlds)
            self._layers, self._clock = world.layers, world.clock
            for entry in before.entries.copy().values():
                entry.empty_cells()

    # The inner workings

    def _instance(self, kind: str, name: str, definition: Any) -> Any:
        if definition:
            self._define(kind, name, definition, caller())
        return self._instance_of(self._entry(kind, name))

    def _template(self, kind: str, name: str, definition: Any) -> Keyed[Any]:
        if definition:
            self._define(kind, name, definition, caller())
        return self._template_of(self._entry(kind, name))

    def _entry(self, kind: str, name: str) -> Entry:
        entry = self._find(kind, name)
        if entry is None:
            fresh = self._inherited(kind, name)
            if fresh is None:
                if not self._layers.know(kind, name):
                    raise self._unknown(name, kind)
                fresh = Entry(kind, name, {}, {}, "")
                self._check_layers(fresh)
            entry = self._entries.setdefault((kind, name), fresh)
        return entry

    def _knows(self, kind: str, name: str) -> bool:
        """
        Answer whether a look-up of *name* would find something.
        """
        key = kind, name
        return (
            key in self._entries or key in self._outer or self._layers.know(kind, name)
        )

    def _find(self, kind: str, name: str) -> Entry | None:
        if type(name) is str:
            entry = self._entries.get((kind, name))
            if entry is not None:
                return entry
        # What is not there may be no name at all.
        return self._entries.get((kind, required_name("name", name)))

    def _inherited(self, kind: str, name: str) -> Entry | None:
        """
        Return a new entry with what was defined outside of an isolated block.
        """
        outer = self._outer.get((kind, name))
        if outer is None:
            return None
        return Entry(kind, name, outer.code, outer.settings, outer.place)

    def _named(self, name: str, *kinds: str) -> list[Entry]:
        """
        Return what is there under *name*: nothing if it was only defined yet.
        """
        found = [self._find(kind, name) for kind in kinds]
        entries = [entry for entry in found if entry is not None]
        if not entries and not any(
            (kind, name) in self._outer or (kind, name) in self._layers.file
            for kind in kinds
        ):
            raise self._unknown(name, *kinds)
        return entries

    def _sorted(self) -> list[Entry]:
        return [entry for _, entry in sorted(self._entries.copy().items())]

    def _unknown(self, name: str, *kinds: str) -> UnknownNameError:
        from difflib import get_close_matches

        there = [*self._entries, *self._outer, *self._layers.file]
        known = sorted({known for kind, known in there if kind in kinds})
        return UnknownNameError(
            " or ".join(kinds), name, get_close_matches(name, known)
        )

    def _put(self, entry: Entry, make: Callable[[], Any]) -> Entry:
        """
        Put in an *entry* with its instance, or return the one that is there.
        """
        entry.instance = self._at_home(make(), entry)
        return self._entries.setdefault((entry.kind, entry.name), entry)

    def _instance_of(self, entry: Entry) -> Any:
        while entry.instance is None:
            # Outside the lock: what a racing creator makes is dropped again.
            layers, code = self._layers, entry.code
            definition = layers.over(entry.kind, entry.name, code)
            made = self._at_home(self._built(entry, entry.name, definition), entry)
            with self._lock:
                current = self._layers is layers and entry.code is code
                if current and entry.instance is None:
                    entry.instance = made
        return entry.instance

    def _template_of(self, entry: Entry) -> Keyed[Any]:
        while entry.template is None:
            layers, code = self._layers, entry.code
            made: Keyed[Any] = self._at_home(self._new_template(entry), entry, "keyed")
            with self._lock:
                current = self._layers is layers and entry.code is code
                if current and entry.template is None:
                    entry.template = made
        return entry.template

    def _new_template(self, entry: Entry) -> Keyed[Any]:
        def definition() -> dict[str, Any]:
            return self._layers.over(entry.kind, entry.name, entry.code)

        def make(key: Hashable) -> Any:
            made = self._built(entry, None, definition())
            made._name = f"{entry.name}[{shown_key(key)}]"
            # Else the name was removed: who arrived by it would bring it back.
            if template._home is not None:
                self._at_home(made, entry, "one", key)
            return made

        def pattern() -> Any:
            return build(entry.kind, None, definition())

        max_keys = definition().get("max_keys", MAX_KEYS)
        template: Keyed[Any] = Keyed(make, max_keys=max_keys)
        template._name = entry.name
        template._pattern = pattern
        template._makes = (CLASSES[entry.kind],)
        return template

    def _built(self, entry: Entry, name: str | None, definition: dict[str, Any]) -> Any:
        if self._clock is not None and definition.get("clock") is None:
            definition = {**definition, "clock": self._clock}
        try:
            return build(entry.kind, name, definition)
        except (TypeError, ValueError) as error:
            # A table that only code could complete, loaded this very moment.
            msg = f"{entry.kind}s.{entry.name}: {error}"
            raise ConfigurationError(msg) from error

    def _at_home(self, thing: Any, entry: Entry, *how: Any) -> Any:
        """
        Let *thing* travel as its name, if it goes by a name everywhere.
        """
        if self is registry:
            thing._home = _arrive, (entry.kind, entry.name, entry.code, *how)
        return thing

    def _after_fork(self) -> None:
        self._lock = RLock()


_KINDS = ("limiter", "breaker", "counter", "unique")

#: What a load changed: old and new value by key path.
Changes: TypeAlias = dict[str, tuple[Any, Any]]

#: The registry that decorators use by default.
registry = Registry()


def _insist(problems: list[str]) -> None:
    if problems:
        raise ConfigurationError(problems)


def _arrive(kind: str, name: str, definition: dict[str, Any], *how: Any) -> Any:
    """
    Return what goes by *name* here: the other end of a pickle or copy.
    """
    if kind == "counter":
        return registry.counter(name)
    if kind == "unique":
        return registry.unique(name, **definition)
    if definition:
        registry._define(kind, name, definition, "unpickled")
    entry = registry._entry(kind, name)
    if not how:
        return registry._instance_of(entry)
    template = registry._template_of(entry)
    return template if how == ("keyed",) else template[how[1]]
