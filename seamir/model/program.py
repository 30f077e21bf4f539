"""The checked program: what the named files define, and what of it is to be emitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from seamir.diagnostics import Diagnostics
from seamir.model.actions import Permissions
from seamir.model.conduits import ConduitChecker
from seamir.model.declarations import Declarations
from seamir.model.entities import CallSymbol, Conduit, Leaf, Wrapper
from seamir.model.expressions import Constant, parameters_of
from seamir.model.leaves import CheckedLeaf, LeafChecker, selector_values
from seamir.model.scope import Scope, suggest
from seamir.model.wrappers import WrapperChecker, default_symbol
from seamir.syntax import ast
from seamir.syntax.loader import Unit

MAXIMUM_LEAVES = 65_535


@dataclass(frozen=True)
class ModelOptions:
    """What the user says about the model: whose conduit stands in, what is allowed."""

    conduits: Mapping[str, str] = field(default_factory=dict)
    permissions: Permissions = field(default_factory=Permissions)


class Model:
    """Checks the items of all units; construct it, then `check` or `select`."""

    def __init__(self, units: Sequence[Unit], options: ModelOptions) -> None:
        self.sink = Diagnostics()
        self._options = options
        self._scopes: dict[int, Scope] = {}
        for unit in units:
            imported = [self._scopes[id(other)] for other in unit.imports]
            self._scopes[id(unit)] = Scope(unit, imported, self.sink)
        self._named = [self._scopes[id(unit)] for unit in units if unit.named]
        self._all = list(self._scopes.values())
        self._declarations = Declarations(self.sink)
        self._conduits = ConduitChecker(self._declarations, options.permissions)
        self._leaf_checker = LeafChecker(self._declarations, self._conduits)
        self._wrapper_checker = WrapperChecker(
            self._declarations, self._conduits, self._leaf_checker
        )
        self._leaves: dict[int, CheckedLeaf | None] = {}
        self._items: dict[int, tuple[ast.LeafItem, Scope]] = {}  # by the leaf that came of one
        self._check_substitutions()

    def constants(self) -> dict[str, int]:
        """The value of each constant by its name, first those that some type allows.

        What the named files define hides what others do. A name to which several of the others
        give different values is left out. Raises SeamError.
        """
        values: dict[str, set[int]] = {}
        for scopes in (self._named, self._all):
            found: dict[str, set[int]] = {}
            for scope in scopes:
                for item in scope.unit.file.items:
                    if isinstance(item, ast.ConstItem):
                        value = self._declarations.constant_of_item(scope, item)
                        found.setdefault(item.name.text, set()).add(value or 0)
            values = {**found, **values}
        self.sink.stop_on_errors()
        allowed = {
            name.text
            for scope in self._all
            for item in scope.unit.file.items
            if isinstance(item, ast.TypeItem)
            for name in item.constants
        }
        names = sorted(values, key=lambda name: name not in allowed)
        return {name: value for name in names for value in values[name] if len(values[name]) == 1}

    # -- what to emit

    def check(self, globs: Sequence[str] = ()) -> tuple[Wrapper, ...]:
        """Checks everything in the named files; returns the wrappers to emit, in file order.

        With `globs`, those of all files whose leaf or symbol matches one; a symbol of the named
        files hides that of an import. Raises SeamError.
        """
        leaves = sum(len(versions) for scope in self._all for versions in scope.leaves.values())
        if leaves > MAXIMUM_LEAVES:
            message = f"{leaves} leaves in one compilation; the limit is {MAXIMUM_LEAVES}"
            self.sink.report("E0214", message, help="compile the files one at a time")
            self.sink.stop_on_errors()
        for scope in self._named:
            self._check_declarations(scope)
        wrappers = self._wrappers(self._named)
        if globs:
            imported = [scope for scope in self._all if scope not in self._named]
            own = {wrapper.symbol for wrapper in wrappers}
            wrappers += [w for w in self._wrappers(imported, globs) if w.symbol not in own]
            wrappers = self._matching(wrappers, globs)
        self._check_symbols(wrappers)
        self._check_numbers(wrappers)
        self._check_versions(wrappers)
        self._check_aliases(wrappers)
        self.sink.stop_on_errors()
        return tuple(wrappers)

    def _check_declarations(self, scope: Scope) -> None:
        for item in scope.unit.file.items:
            if isinstance(item, ast.TypeItem | ast.BitsItem):
                self._declarations.type_of_item(scope, item)
            elif isinstance(item, ast.LayoutItem):
                self._declarations.layout_of_item(item)
            elif isinstance(item, ast.ConstItem):
                self._declarations.constant_of_item(scope, item)
            elif isinstance(item, ast.OperandsItem):
                self._declarations.operand_ids_of_item(item)
            elif isinstance(item, ast.StatusesItem):
                self._declarations.family_of_item(scope, item)
            elif isinstance(item, ast.ConduitItem):
                self._conduits.conduit_of_item(scope, item)

    def _wrappers(self, scopes: Iterable[Scope], globs: Sequence[str] = ()) -> list[Wrapper]:
        found: list[Wrapper] = []
        scopes = list(scopes)
        targets = {id(leaf) for scope in scopes for leaf in self._wrapped(scope)}
        for scope in scopes:
            for item in scope.unit.file.items:
                if isinstance(item, ast.WrapperItem | ast.LeafItem) and scope.is_repeated(item):
                    continue
                if isinstance(item, ast.WrapperItem):
                    if _passes(globs, item.leaf.text, item.name.text):
                        found += self._wrapper(item, scope)
                elif isinstance(item, ast.LeafItem):
                    version = item.version.value if item.version else 0
                    symbol = default_symbol(item.name.text, version)
                    if not _passes(globs, item.name.text, symbol):
                        continue
                    checked = self._leaf(item, scope)
                    if checked is not None and id(item) not in targets:
                        found.append(self._wrapper_checker.check(checked, None, None))
        return found

    def _wrapped(self, scope: Scope) -> list[ast.LeafItem]:
        """The leaves that wrappers of a file are about."""
        return [
            target[1]
            for item in scope.wrappers.values()
            if (target := self._target(item, scope, report=False)) is not None
        ]

    def _wrapper(self, item: ast.WrapperItem, scope: Scope) -> list[Wrapper]:
        target = self._target(item, scope, report=True)
        checked = self._leaf(target[1], target[0]) if target else None
        return [self._wrapper_checker.check(checked, item, scope)] if checked else []

    def _target(
        self, item: ast.WrapperItem, scope: Scope, *, report: bool
    ) -> tuple[Scope, ast.LeafItem] | None:
        """The leaf that a wrapper is about: the version it names, else 0, else the only one."""
        found = scope.find_leaf(item.leaf.text)
        if item.version is not None:
            fitting = [entry for entry in found if entry[1] == item.version.value]
        else:
            fitting = [entry for entry in found if entry[1] == 0] or found
        if len(fitting) == 1 and item.version is None:
            return fitting[0][0], fitting[0][2]
        varying = next((leaf for _, _, leaf in fitting or found if leaf.version_parameter), None)
        if len(fitting) == 1 and varying is None:
            return fitting[0][0], fitting[0][2]
        if not report:
            return None
        if varying is not None and varying.version_parameter is not None and item.version:
            message = f"the version of {item.leaf.text} is its parameter"
            message += f" {varying.version_parameter.text}"
            notes = [("the leaf is here", varying.name.span)]
            self.sink.report("E0206", message, item.version.span, notes=notes)
            return None
        if not found:
            names = [s.leaves for s in (scope, *scope.imported)]
            hint = scope.elsewhere("leaf", item.leaf.text, self.sink) or suggest(
                item.leaf.text, self.sink, *names
            )
            message = f"there is no leaf `{item.leaf.text}` here"
            self.sink.report("E0206", message, item.leaf.span, help=hint)
            return None
        name, span = item.leaf.text, item.version.span if item.version else item.leaf.span
        versions = ", ".join(map(str, sorted({version for _, version, _ in found})))
        if len(fitting) > 1 and len({version for _, version, _ in fitting}) == 1:
            notes = [(f"one {name} is here", leaf.name.span) for _, _, leaf in fitting]
            self.sink.report("E0210", f"`{name}` has two meanings here", span, notes=notes)
        elif item.version is not None:
            message = f"{name} has no version {item.version.value}"
            self.sink.report("E0206", message, span, help=f"its versions: {versions}")
        else:
            message = f"{name} has versions {versions}"
            self.sink.report("E0206", message, span, help=f"say which: `{name} version N`")
        return None

    def _leaf(self, item: ast.LeafItem, scope: Scope) -> CheckedLeaf | None:
        key = id(item)
        if key not in self._leaves:
            conduit = self._conduit(item, scope)
            if conduit is None:
                self._leaf_checker.check_types(item, scope)
            self._leaves[key] = None
            if conduit is not None:
                leaf = self._leaf_checker.check(item, scope, conduit)
                self._leaves[key] = CheckedLeaf(leaf, item, scope)
                self._items[id(leaf)] = item, scope
        return self._leaves[key]

    def _conduit(self, item: ast.LeafItem, scope: Scope) -> Conduit | None:
        other = self._options.conduits.get(item.conduit.text)
        if other is None:
            return self._conduits.conduit(item.conduit, scope)
        for place in (scope, *self._all):
            for where, found in place.find("conduit", other):
                assert isinstance(found, ast.ConduitItem)
                return self._conduits.conduit_of_item(where, found)
        return None  # reported by _check_substitutions

    def _check_substitutions(self) -> None:
        known = {name for scope in self._all for name in scope.names("conduit")}
        for name, other in self._options.conduits.items():
            for word in (name, other):
                if word not in known:
                    message = f"--conduit {name}={other}: there is no conduit `{word}`"
                    self.sink.report("E0803", message, help=suggest(word, self.sink, known))

    def _matching(self, wrappers: list[Wrapper], globs: Sequence[str]) -> list[Wrapper]:
        for glob in globs:
            if not any(_passes([glob], w.leaf.name, w.symbol) for w in wrappers):
                message = f"no leaf and no symbol matches `{glob}`"
                names = [name for w in wrappers for name in (w.leaf.name, w.symbol)]
                imported = [name for scope in self._all for name in scope.leaves]
                help = suggest(glob, self.sink, names, imported)
                known = list(dict.fromkeys([*(w.leaf.name for w in wrappers), *imported]))
                if help is None and known:
                    more = f" and {len(known) - 4} more" if len(known) > 4 else ""
                    help = f"leaves are {', '.join(known[:4])}{more}"
                self.sink.report("E0806", message, help=help)
        return [w for w in wrappers if _passes(globs, w.leaf.name, w.symbol)]

    # -- across wrappers

    def _check_symbols(self, wrappers: Iterable[Wrapper]) -> None:
        seen: dict[str, Wrapper] = {}
        for wrapper in wrappers:
            first = seen.setdefault(wrapper.symbol, wrapper)
            if first is not wrapper:
                notes = [("the first is here", first.span)]
                message = f"two functions would be called {wrapper.symbol}"
                help = "give one of them a wrapper with another name"
                self.sink.report("E0208", message, wrapper.span, notes=notes, help=help)
        for wrapper in seen.values():
            for action in wrapper.edges.actions:
                if isinstance(action, CallSymbol) and action.symbol in seen:
                    notes = [("it is made here", seen[action.symbol].span)]
                    message = f"{action.symbol} is made by this compilation, so it cannot be called"
                    self.sink.report("E0208", message, action.span, notes=notes)

    def _check_numbers(self, wrappers: Iterable[Wrapper]) -> None:
        seen: dict[object, Leaf] = {}
        for wrapper in wrappers:
            leaf = wrapper.leaf
            if leaf.alias_of is not None:
                continue  # see _check_aliases
            first = seen.setdefault(_selection(leaf), leaf)
            if first.name != leaf.name:
                notes = [("the first is here", first.span)]
                message = f"{leaf.name} is selected like {first.name}: one leaf under two names"
                help = f"say `alias of {first.name};`, or make the second function a wrapper"
                self.sink.report("E0412", message, leaf.span, notes=notes, help=help)

    def _check_versions(self, wrappers: Iterable[Wrapper]) -> None:
        """Reports a version of a leaf that another one has, whose version is a parameter."""
        alike: dict[object, list[Leaf]] = {}
        for leaf in {id(wrapper.leaf): wrapper.leaf for wrapper in wrappers}.values():
            if leaf.alias_of is None:
                alike.setdefault(_selection(leaf, any_version=True), []).append(leaf)
        for leaves in alike.values():
            varying = next((leaf for leaf in leaves if leaf.version_parameter), None)
            if varying is None:
                continue
            chosen = varying.version_parameter
            promise = next(p.promise for p in varying.parameters if p.name == chosen)
            for leaf in leaves:
                if leaf.version_parameter is not None:
                    continue
                message = f"{leaf.name} version {leaf.version} is {varying.name} with {chosen} = "
                message += f"{leaf.version}: one leaf under two names"
                help: str | None = f"give {chosen} a type without {leaf.version}"
                if leaf.name == varying.name:
                    message = f"the version of {leaf.name} is its parameter {chosen} already"
                    help = None
                elif not promise.low <= leaf.version <= promise.high:
                    continue
                notes = [("the leaf of all versions is here", varying.span)]
                self.sink.report("E0412", message, leaf.span, notes=notes, help=help)

    def _check_aliases(self, wrappers: Iterable[Wrapper]) -> None:
        """Reports aliases of leaves that are not there or are selected otherwise."""
        for leaf in {id(wrapper.leaf): wrapper.leaf for wrapper in wrappers}.values():
            if leaf.alias_of is None:
                continue
            item, scope = self._items[id(leaf)]
            clause = next(c for c in item.clauses if isinstance(c, ast.AliasOf))
            if leaf.alias_of == leaf.name:
                self.sink.report("E0211", f"{leaf.name} is an alias of itself", clause.leaf.span)
                continue
            found = scope.find_leaf(leaf.alias_of)
            if not found:
                names = [s.leaves for s in (scope, *scope.imported)]
                message = f"there is no leaf `{leaf.alias_of}` here"
                hint = scope.elsewhere("leaf", leaf.alias_of, self.sink) or suggest(
                    leaf.alias_of, self.sink, *names
                )
                self.sink.report("E0206", message, clause.leaf.span, help=hint)
                continue
            others = [checked for where, _, other in found if (checked := self._leaf(other, where))]
            if others and all(_selection(c.leaf) != _selection(leaf) for c in others):
                notes = [("it is here", others[0].leaf.span)]
                message = f"{leaf.alias_of} is selected otherwise, so {leaf.name} is no alias of it"
                self.sink.report("E0412", message, clause.leaf.span, notes=notes)
            elif others and all(c.leaf.alias_of is not None for c in others):
                notes = [("it is here", others[0].leaf.span)]
                message = f"{leaf.alias_of} is an alias itself"
                help = f"say `alias of {others[0].leaf.alias_of};`"
                help = "one of them is the leaf" if others[0].leaf.alias_of == leaf.name else help
                self.sink.report("E0412", message, clause.leaf.span, notes=notes, help=help)


def _selection(leaf: Leaf, *, any_version: bool = False) -> object:
    """The instruction and selector values by which the other side knows the leaf.

    Exposure masks take no part: what is passed selects nothing. With `any_version`, versions of a
    leaf are selected alike.
    """
    if leaf.number is None:
        return leaf.name
    ignored = {"exposed", "version"} if any_version else {"exposed"}
    constants: list[object] = [leaf.number] if any_version else []
    for operand, value in zip(leaf.conduit.selectors, selector_values(leaf), strict=True):
        if parameters_of(operand.value).isdisjoint(ignored):
            known = value.value if isinstance(value, Constant) else None
            constants.append((operand.place.register, operand.place.low, known))
    return leaf.conduit.instruction.code, tuple(constants)


def _passes(globs: Sequence[str], leaf: str, symbol: str) -> bool:
    return not globs or any(fnmatchcase(leaf, g) or fnmatchcase(symbol, g) for g in globs)
