"""A module whose blocks come to the device while it computes, and leave; as many stay as there is room for.

What does not stay has its numbers in main memory, pinned where the device is a GPU. Before a block runs, its
numbers are on the device; the next block's come over meanwhile, on a stream of their own. At rest a block's
parameters are empty tensors on the device, so that whoever asks a module where it lives hears the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

LARGE_LEAF_BYTES = 64 * 2**20
"""A layer outside any block from this size on comes and leaves like a block: the words of a text encoder."""


class Streamed:
    """A module in main memory and, as far as there is room, on a device.

    The module comes as it was loaded, wherever that is; `stay` says how much of it lives on the device.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.device = device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._units = _units(module, self)
        owned = {id(tensor) for unit in self._units for tensor in unit.parameters}
        for tensor in (*module.parameters(), *module.buffers()):
            if id(tensor) not in owned:
                tensor.data = self.to_device(tensor.data)
        for unit, following in itertools.pairwise(self._units):
            unit.following = following
        _streamed[module] = self

    @property
    def streamed_bytes(self) -> int:
        """What of it is in main memory alone and comes for every run."""
        return sum(unit.bytes for unit in self._units if not unit.stays)

    @property
    def staying_bytes(self) -> int:
        """What its blocks that stay are worth of room."""
        return sum(unit.bytes for unit in self._units if unit.stays)

    def stay_whole(self) -> None:
        """Keep everything on the device."""
        self.stay(sum(unit.bytes for unit in self._units))

    def stay(self, room_bytes: int) -> None:
        """Keep the first blocks that fit into so many bytes on the device, the others in main memory."""
        for unit in self._units:
            unit.stays = unit.bytes <= room_bytes
            room_bytes -= unit.bytes if unit.stays else 0
        for unit in self._units:
            if not unit.stays:
                unit.leave()
        for unit in self._units:
            if unit.stays:
                unit.come()

    def to_device(self, tensor: Tensor) -> Tensor:
        """The numbers on the device."""
        return tensor.to(self.device, non_blocking=True)

    def keep(self, tensor: Tensor) -> Tensor:
        """A copy in main memory from which a GPU can read while it computes."""
        kept = tensor.detach().to("cpu", copy=tensor.device.type != "cpu")
        if self.device.type != "cuda":
            return kept
        try:
            return kept.pin_memory()
        except RuntimeError:  # the system gives no more memory that is pinned: the copy is slower, not wrong
            return kept

    # --- while it computes ------------------------------------------------------------------------------

    def enter(self, unit: _Unit) -> None:
        """Have a block's numbers on the device before it runs, and the next one's on their way."""
        unit.come()
        following = unit.following
        if self._copies is not None and following is not None and not following.is_here:
            following.come_on(self._copies)

    def leave(self, unit: _Unit) -> None:
        """Let go of a block that has run."""
        if not unit.stays:
            unit.leave()


class _Unit:
    """Numbers that come and leave together: those of a block, or of one large layer."""

    def __init__(self, owner: Streamed, parameters: list[nn.Parameter]) -> None:
        self.owner = owner
        self.parameters = parameters
        self.bytes = sum(p.numel() * p.element_size() for p in parameters)
        self.stays = True
        self.is_here = False
        self.following: _Unit | None = None
        self._kept: list[Tensor] = []
        self._arrived: torch.cuda.Event | None = None

    def watch(self, module: nn.Module) -> None:
        """Come before this module runs, and leave after."""
        module.register_forward_pre_hook(lambda *_: self.owner.enter(self))
        module.register_forward_hook(lambda *_: self.owner.leave(self), always_call=True)

    def come(self) -> None:
        """Be on the device, for what is computed from now on."""
        if not self.is_here:
            self._set([self.owner.to_device(tensor) for tensor in self._kept or self._first()])
        elif self._arrived is not None:
            torch.cuda.current_stream(self.owner.device).wait_event(self._arrived)
        self._arrived = None

    def come_on(self, stream: torch.cuda.Stream) -> None:
        """Come over beside what is computed now."""
        there = [
            torch.empty(kept.shape, dtype=parameter.dtype, device=parameter.device)
            for kept, parameter in zip(self._kept, self.parameters, strict=True)
        ]
        # What is allocated may have belonged to a block that the device has yet to finish with.
        stream.wait_stream(torch.cuda.current_stream(self.owner.device))
        with torch.cuda.stream(stream):
            for tensor, kept in zip(there, self._kept, strict=True):
                tensor.copy_(kept, non_blocking=True)
            self._arrived = cast(torch.cuda.Event, stream.record_event())
        self._set(there)

    def leave(self) -> None:
        """Be in main memory alone."""
        if not self._kept:
            self._kept = [self.owner.keep(tensor) for tensor in self._first()]
        if self._arrived is not None:  # it came and was not needed
            torch.cuda.current_stream(self.owner.device).wait_event(self._arrived)
            self._arrived = None
        for parameter in self.parameters:
            parameter.data = self.owner.to_device(parameter.data.new_empty(0))
        self.is_here = False

    def _first(self) -> list[Tensor]:
        return [parameter.data for parameter in self.parameters]

    def _set(self, tensors: list[Tensor]) -> None:
        for parameter, tensor in zip(self.parameters, tensors, strict=True):
            parameter.data = tensor
        self.is_here = True


_streamed: WeakKeyDictionary[nn.Module, Streamed] = WeakKeyDictionary()
_watchers: WeakKeyDictionary[nn.Module, _Unit] = WeakKeyDictionary()


def streamed(module: nn.Module) -> Streamed | None:
    """How a module is streamed; None: it is on its device as any other."""
    return _streamed.get(module)


def follow(module: nn.Module, leader: nn.Module) -> None:
    """Have a layer's numbers come for another one too that shares them: a language model's head."""
    if unit := _watchers.get(leader):
        unit.watch(module)


@contextmanager
def at_hand(module: nn.Module, *others: nn.Module) -> Iterator[None]:
    """Have all of a streamed module on the device for a block that runs it many times over.

    others: what may leave for it meanwhile; they are back as they were afterwards.
    """
    own = streamed(module)
    if own is None or not own.streamed_bytes:
        yield
        return
    leaving = [found for found in map(streamed, others) if found is not None]
    stayed = {found: found.staying_bytes for found in (own, *leaving)}
    for found in leaving:
        found.stay(0)
    own.stay_whole()
    try:
        yield
    finally:
        for found, room_bytes in stayed.items():
            found.stay(room_bytes)


def _units(module: nn.Module, owner: Streamed) -> list[_Unit]:
    """The blocks of a module, in the order in which it names them, and its large layers."""
    taken: dict[int, _Unit] = {}
    units = []
    for part in _parts(module):
        fresh = [p for p in _distinct(part, buffers=False) if id(p) not in taken]
        if fresh:
            unit = _Unit(owner, cast(list[nn.Parameter], fresh))
            units.append(unit)
            taken |= {id(p): unit for p in fresh}
        for unit in {taken[id(p)] for p in part.parameters()}:  # a layer may share another one's numbers
            unit.watch(part)
            _watchers[part] = unit
    return units


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif not list(child.children()) and _size(child) >= LARGE_LEAF_BYTES:
            yield child
        else:
            yield from _parts(child)


def _size(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _distinct(module: nn.Module, *, buffers: bool = True) -> list[Tensor]:
    tensors: list[Any] = [*module.parameters(), *(module.buffers() if buffers else ())]
    return list({id(tensor): tensor for tensor in tensors}.values())
