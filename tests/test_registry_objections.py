"""
What a load cannot apply: it is told, and nothing is changed.
"""

from __future__ import annotations

import pytest

from switchgear import ConfigurationError, Rate, Registry, UnknownNameError
from switchgear._entry import Entry
from switchgear.events import Reconfigured
from switchgear.testing import capture_events


@pytest.fixture
def names(monkeypatch):
    return Registry()


SEVERAL = [{"limit": 5, "per": 1}, {"limit": 60, "per": 60, "burst": 10}]


class TestContradictions:
    @pytest.mark.parametrize(
        ("tables", "told"),
        [
            (
                {"breakers": {"b": {"cooldown": 50, "max_cooldown": 10}}},
                "breakers.b: max_cooldown must be at least the cooldown",
            ),
            (
                {"breakers": {"b": {"threshold": "none", "window": "none"}}},
                "breakers.b: threshold may be None only with a window",
            ),
            (
                {
                    "breakers": {
                        "b": {
                            "window": {"size": 9, "slow_call_rate": 0.5},
                            "slow_call_seconds": "none",
                        }
                    }
                },
                "breakers.b: slow_call_seconds must be set",
            ),
        ],
    )
    def test_what_no_code_can_mend(self, names, tables, told):
        """
        If a table contradicts itself whatever the code says, it is refused at
        once.
        """
        with pytest.raises(ConfigurationError, match=told):
            names.configure(tables)

        assert () == names.names()

    @pytest.mark.parametrize(
        "settings",
        [
            {"max_cooldown": 10},
            {"max_cooldown": "none", "cooldown": 5},
            {"threshold": "none"},
            {"window": {"size": 9, "slow_call_rate": 0.5}},
        ],
    )
    def test_what_code_may_complete(self, names, settings):
        """
        If code to come may make sense of a table, it is taken.
        """
        names.configure({"breakers": {"b": settings}})

        assert "b" in names

    def test_two_sources_together(self, names, tmp_path, monkeypatch):
        """
        If two sources, each right, make no sense together, that is told.
        """
        names.configure({"limiters": {"a": {"rates": SEVERAL}}})
        monkeypatch.setenv("SWITCHGEAR_LIMITERS__A__BURST", "8")

        with pytest.raises(ConfigurationError, match=r"limiters\.a: rates is given"):
            names.reload()

    def test_of_the_environment_alone(self, names, monkeypatch):
        """
        If variables contradict each other for a name nobody knows yet, that is
        told as well.
        """
        monkeypatch.setenv("SWITCHGEAR_BREAKERS__B__THRESHOLD", "none")
        monkeypatch.setenv("SWITCHGEAR_BREAKERS__B__WINDOW", "none")

        with pytest.raises(ConfigurationError, match=r"environment: breakers\.B: thr"):
            names.configure({})

        monkeypatch.setenv("SWITCHGEAR_BREAKERS__B__WINDOW", "{ size = 3 }")
        assert {} == names.configure({})


class TestNothingIsChanged:
    def test_what_only_a_file_defines(self, names):
        """
        If a table makes no sense any more for what lives without code, that is
        told with its key path, and nothing else goes on with the others.
        """
        names.configure({"breakers": {"x": {"cooldown": 5}, "z": {"cooldown": 5}}})
        x, z = names.breaker("x"), names.breaker("z")

        with (
            capture_events(Reconfigured) as events,
            pytest.raises(ConfigurationError, match=r"breakers\.x: threshold may"),
        ):
            names.configure(
                {"breakers": {"x": {"threshold": "none"}, "z": {"cooldown": 9}}}
            )

        assert [] == events
        assert (5.0, 5.0) == (x.settings()["cooldown"], z.settings()["cooldown"])
        assert {} == names.reload()

    def test_what_was_changed_at_run_time(self, names):
        """
        If a table vanishes under what was changed at run time, and the rest
        makes no sense, that is told, and nothing changes.
        """
        names.configure({"breakers": {"x": {"cooldown": 10}}})
        breaker = names.breaker("x")
        breaker.reconfigure(max_cooldown=20)

        with pytest.raises(ConfigurationError, match=r"breakers\.x: max_cooldown"):
            names.configure({})

        assert 10.0 == breaker.settings()["cooldown"]
        assert {} == names.reload()

    def test_what_is_changed_meanwhile(self, names, monkeypatch):
        """
        If something is changed at run time between the look and the load, so
        that it cannot go on, the others go back.
        """
        names.breaker("a", cooldown=10)
        changed = names.breaker("b", cooldown=10)
        names.breaker("c", cooldown=10)
        objections = Entry.objections

        def overtaken(entry, definition):
            found = objections(entry, definition)
            if entry.name == "c":
                changed.reconfigure(max_cooldown=20)
            return found

        monkeypatch.setattr(Entry, "objections", overtaken)
        tables = {name: {"cooldown": 90} for name in "abc"}

        with pytest.raises(ConfigurationError, match=r"^breakers\.b: max_cooldown"):
            names.configure({"breakers": tables})

        assert [10.0] * 3 == [names.breaker(x).settings()["cooldown"] for x in "abc"]
        assert {} == names.reload()

    def test_another_load_meanwhile(self, names, monkeypatch):
        """
        If another load came in between, its layers stay.
        """
        changed = names.breaker("b", cooldown=10)
        adopt_all, others = Registry._adopt_all, [{"breakers": {"b": {"jitter": 0.5}}}]

        def overtaken(registry, before, after):
            if others:
                registry.configure(others.pop())
                changed.reconfigure(max_cooldown=20)
                # As if that had come a moment earlier.
                monkeypatch.setattr(
                    Registry,
                    "_adopt",
                    lambda *args, adopt=Registry._adopt: adopt(*args) or ["b: late"],
                )
            adopt_all(registry, before, after)

        monkeypatch.setattr(Registry, "_adopt_all", overtaken)

        with pytest.raises(ConfigurationError, match="late"):
            names.configure({"breakers": {"b": {"jitter": 0.25}}})

        assert 0.5 == names._layers.file["breaker", "b"]["jitter"]

    def test_code_that_comes_late(self, names):
        """
        If code contradicts what was changed at run time before it came, it is
        refused, and what lives is as before.
        """
        names.configure({"breakers": {"b": {"cooldown": 10}}})
        breaker = names.breaker("b")
        breaker.reconfigure(cooldown=500)

        with pytest.raises(ConfigurationError, match=r"breakers\.b: max_cooldown"):
            names.breaker("b", max_cooldown=200)

        assert breaker.settings()["max_cooldown"] is None
        assert names.breaker("b", max_cooldown=600) is breaker

    def test_what_code_completes_outside(self, names):
        """
        If an isolated block loads what contradicts a definition from outside,
        that is told at once.
        """
        names.breaker("b", cooldown=50)
        end = names._isolate()

        with pytest.raises(ConfigurationError, match=r"breakers\.b: max_cooldown"):
            names.configure({"breakers": {"b": {"max_cooldown": 10}}})

        end("over")

    def test_a_look_up_meanwhile(self, names, monkeypatch):
        """
        If a table that only code could complete is loaded while its name is
        looked up, the look-up tells the key path.
        """
        names.configure({"breakers": {"b": {"jitter": 0.5}}})
        entry = names._entry("breaker", "b")

        names.configure({"breakers": {"b": {"threshold": "none"}}})

        with pytest.raises(ConfigurationError, match=r"breakers\.b: threshold may"):
            names._instance_of(entry)


class TestNames:
    @pytest.mark.parametrize("act", ["forget_changes", "reset", "remove"])
    def test_what_only_a_file_defines(self, names, act):
        """
        If only a file defines a name, there is nothing to forget or reset; its
        table stays.
        """
        names.configure({"limiters": {"a": {"burst": 3}}})

        getattr(names, act)("a")

        assert 3 == names.limiter("a").settings()["burst"]

    def test_what_only_the_outside_defines(self, names):
        """
        If a name is removed in an isolated block, it is gone there, and in
        blocks within; outside it is there.
        """
        names.limiter("a", burst=3)
        end = names._isolate()
        names.remove("a")
        inner = names._isolate()

        with pytest.raises(UnknownNameError):
            names.limiter("a")

        inner("over")
        with pytest.raises(UnknownNameError, match="no limiter or breaker is named"):
            names.forget_changes("a")

        end("over")
        assert 3 == names.limiter("a").settings()["burst"]


class TestChanges:
    def test_what_lives_goes_on_with_defaults(self, names):
        """
        If a table vanishes, what lives goes on with the defaults, and those are
        told as the new values.
        """
        names.configure({"limiters": {"a": {"calls_per_second": 100}, "b": {}}})
        limiter = names.limiter("a")

        changes = names.configure({})

        assert (100.0, 2.0) == changes["limiters.a.calls_per_second"]
        assert (2.0, None) == changes["limiters.b.calls_per_second"]
        assert 2.0 == limiter.settings()["calls_per_second"]


class TestFiles:
    def test_a_process_that_moves(self, names, tmp_path, monkeypatch):
        """
        If the process changes its folder, reload finds the file where it was.
        """
        monkeypatch.chdir(tmp_path)
        (tmp_path / "c.toml").write_text("[limiters.a]\nburst = 3\n")
        names.load("c.toml")

        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        assert {} == names.reload()

    def test_one_file_by_several_names(self, names, tmp_path, monkeypatch):
        """
        If a file is loaded by two spellings of its path, it is one file.
        """
        monkeypatch.chdir(tmp_path)
        file = tmp_path / "c.toml"
        file.write_text("[limiters.a]\nburst = 3\n")
        names.load("c.toml")
        file.write_text("[limiters.b]\nburst = 4\n")

        names.load(file)

        assert ("b",) == names.names()

    def test_a_link_is_followed_each_time(self, names, tmp_path):
        """
        If a link leads elsewhere at a reload, that is read: so files are
        replaced at once.
        """
        link = tmp_path / "c.toml"
        for name, burst in (("old", 3), ("new", 4)):
            (tmp_path / name).write_text(f"[limiters.a]\nburst = {burst}\n")
        link.symlink_to("old")
        names.load(link)

        link.unlink()
        link.symlink_to("new")

        assert (3, 4) == names.reload()["limiters.a.burst"]

    def test_a_file_called_mapping(self, names, tmp_path, monkeypatch):
        """
        If a file is called "mapping", it is a file.
        """
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mapping").write_text("[limiters.a]\nburst = 3\n")
        names.load("mapping")
        names.configure({"limiters": {"b": {"burst": 2}}})
        (tmp_path / "mapping").write_text("[limiters.a]\nburst = 4\n")

        assert (3, 4) == names.reload()["limiters.a.burst"]
        assert 2 == names.limiter("b").settings()["burst"]

    def test_a_mapping_that_is_changed(self, names):
        """
        If a mapping is changed after it was applied, a reload does not see it.
        """
        rates = [Rate(5.0)]
        tables = {"limiters": {"a": {"burst": 2}, "b": {"rates": rates}}}
        names.configure(tables)

        tables["limiters"]["a"]["burst"] = 9
        rates.append(Rate(60.0, per=60.0))

        assert {} == names.reload()
        assert 2 == names.limiter("a").settings()["burst"]

    def test_only_what_is_asked_for_is_read(self, names, tmp_path):
        """
        If a file is gone, loading another does not ask for it; reload does.
        """
        (tmp_path / "one.toml").write_text("[limiters.a]\nburst = 3\n")
        (tmp_path / "other.toml").write_text("[limiters.b]\nburst = 4\n")
        names.load(tmp_path / "one.toml")
        (tmp_path / "one.toml").unlink()

        names.load(tmp_path / "other.toml")
        names.configure({})

        assert ("a", "b") == names.names()
        with pytest.raises(FileNotFoundError):
            names.reload()
