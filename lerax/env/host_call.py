"""Calls of Python functions from compiled programs, at a fraction of the price of `jax.pure_callback`.

On a CPU the function is reached through a handler of XLA's foreign function interface, made with ctypes alone
(https://openxla.org/xla/custom_call; the structures are those of `xla/ffi/api/c_api.h`). It reads and writes
XLA's own buffers, costs 10 microseconds a call where a callback costs 100 and, unlike one, lets the program
be stored in the compile cache. Elsewhere `jax.pure_callback` does the same.

At the end of Python programs may still run, on threads of XLA's, and a call into an interpreter that is gone
ends the process. So calls are refused from then on, which ends these programs, and Python waits for them.
"""

import atexit
import ctypes
import functools
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array

Function = Callable[[list[np.ndarray], list[np.ndarray]], None]
"""Reads its first arguments and fills the second: arrays `[lane, number]`, of all lanes of any `jax.vmap`."""

TARGET = "lerax_host_call"
DTYPES = {8: np.dtype(np.uint32), 11: np.dtype(np.float32)}  # by XLA's numbers
METADATA = 1  # the extension by which XLA asks a handler for its version
VERSION = (0, 3)
INTERNAL = 13  # the error code

THREADS = "/proc/self/task"  # a folder for each
EXIT_SECONDS = 10  # that Python waits for programs when it ends

_functions: dict[int, tuple[Hashable, Function]] = {}
_lock = threading.Lock()
_thread = threading.local()
_inside: set[int] = set()  # the threads that are in a function now
_ending = threading.Event()


def register(owner: Hashable, name: bytes, function: Function) -> int:
    """Gives a function the number that `call` reaches it by, for the life of the process.

    The number becomes part of compiled programs and so of the compile cache's keys: it is a hash of the name,
    the same in every process, unless another owner has it already.

    Args:
        owner: Whose function it is; the same owner and name get the same number again.
        name: What the function depends on.
        function: The function. It never calls JAX.
    """
    _end_with_python()
    number = int.from_bytes(hashlib.sha256(name).digest()[:8], "little") >> 1
    with _lock:
        while number in _functions and _functions[number][0] != owner:
            number = (number + 1) % 2**63
        _functions[number] = owner, function
    return number


def call(
    number: int, results: Sequence[jax.ShapeDtypeStruct], *arguments: Array, transport: str = "auto"
) -> tuple[Array, ...]:
    """Calls a function as part of a program, once for all lanes of a `jax.vmap`.

    Args:
        number: From `register`.
        results: Shapes and types of what it fills: vectors, of 4 bytes a number.
        arguments: What it reads: vectors, too.
        transport: `ffi` or `callback`; by default the first on a CPU.
    """
    if transport == "auto":
        transport = "ffi" if jax.default_backend() == "cpu" else "callback"
    results = tuple(results)
    if transport == "callback":
        function = functools.partial(_from_callback, number, results)
        return jax.pure_callback(function, results, *arguments, vmap_method="broadcast_all")
    _register_target()
    stub = jax.ffi.ffi_call(TARGET, results, vmap_method="broadcast_all")
    return tuple(stub(*map(jnp.asarray, arguments), function=np.int64(number)))


def _from_callback(
    number: int, results: Sequence[jax.ShapeDtypeStruct], *arguments: Array | np.ndarray
) -> tuple[np.ndarray, ...]:
    lead = np.shape(arguments[0])[:-1]  # every argument and result is one vector for each lane
    lanes = math.prod(lead)
    inputs = [np.asarray(argument).reshape(lanes, argument.shape[-1]) for argument in arguments]
    outputs = [np.zeros((lanes, *result.shape), result.dtype) for result in results]
    if not _ending.is_set():  # JAX waits for programs with callbacks, and reports the errors of these
        _functions[number][1](inputs, outputs)
    return tuple(output.reshape(*lead, *output.shape[1:]) for output in outputs)


@functools.cache
def _end_with_python() -> None:
    atexit.register(_end)  # after JAX's own function, so that it comes before that
    os.register_at_fork(after_in_child=_inside.clear)  # which has none of these threads


def _end() -> None:
    """Refuses calls from now on, and waits until no program is left that could make one."""
    _ending.set()
    deadline = time.monotonic() + EXIT_SECONDS
    while (_inside or _others_run()) and time.monotonic() < deadline:
        time.sleep(0.005)


def _others_run() -> bool:
    """Whether a thread that is none of Python's computes: JAX does not tell of programs whose results are
    dropped, and one may be between two calls."""
    own = {str(thread.native_id) for thread in threading.enumerate()}
    own.add(str(threading.get_native_id()))  # of a forked process Python says the number that it had before
    try:
        threads = set(os.listdir(THREADS))
    except OSError:  # not Linux
        return False
    return any(_computes(thread) for thread in threads - own)


def _computes(thread: str) -> bool:
    try:
        with open(f"{THREADS}/{thread}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "RD"
    except OSError:  # it has ended
        return False


def _structure(name: str, **fields: type) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


_SIZE, _POINTER, _INT, _LONG = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_HEAD = {"struct_size": _SIZE, "extension": _POINTER}
_Version = _structure("_Version", **_HEAD, major=_INT, minor=_INT)
_Metadata = _structure(
    "_Metadata", struct_size=_SIZE, version=_Version, traits=ctypes.c_uint32, state_type=_LONG
)
_Extension = _structure(
    "_Extension", struct_size=_SIZE, kind=_INT, next=_POINTER, metadata=ctypes.POINTER(_Metadata)
)
_Buffer = _structure("_Buffer", **_HEAD, dtype=_INT, data=_POINTER, rank=_LONG, dims=_POINTER)
_Arguments = _structure("_Arguments", **_HEAD, size=_LONG, kinds=_POINTER, values=_POINTER)
_Scalar = _structure("_Scalar", dtype=_INT, value=ctypes.POINTER(_LONG))
_Attributes = _structure(
    "_Attributes",
    **_HEAD,
    size=_LONG,
    kinds=ctypes.POINTER(_INT),
    names=_POINTER,
    values=ctypes.POINTER(ctypes.POINTER(_Scalar)),
)
_Api = _structure("_Api", **_HEAD, version=_Version, internal=_POINTER, create_error=_POINTER)
_Frame = _structure(
    "_Frame",
    struct_size=_SIZE,
    extension=ctypes.POINTER(_Extension),
    api=ctypes.POINTER(_Api),
    context=_POINTER,
    stage=_INT,
    arguments=_Arguments,
    results=_Arguments,
    attributes=_Attributes,
    future=_POINTER,
)
_Error = _structure("_Error", **_HEAD, message=ctypes.c_char_p, code=_INT)
_CreateError = ctypes.CFUNCTYPE(_POINTER, ctypes.POINTER(_Error))


@ctypes.CFUNCTYPE(_POINTER, ctypes.POINTER(_Frame))
def _handler(frame: Any) -> int | None:
    """What XLA calls. Returns nothing, or the address of an error."""
    frame = frame.contents
    try:
        if frame.extension and frame.extension.contents.kind == METADATA:
            version = frame.extension.contents.metadata.contents.version
            version.major, version.minor = VERSION
            return None
        if not hasattr(_thread, "kept"):
            # XLA's threads are not Python's, which would set one up, and throw it away, for each call.
            _thread.kept = ctypes.pythonapi.PyGILState_Ensure()
        number = frame.attributes.values[0].contents.value[0]
        _inside.add(thread := threading.get_native_id())
        try:
            if _ending.is_set():
                raise RuntimeError("Python is ending: nothing outside of a program can be called any more")
            _functions[number][1](_arrays(frame.arguments), _arrays(frame.results))
        finally:
            _inside.discard(thread)
        return None
    except BaseException as error:  # it must not pass through XLA's C++
        text = f"{type(error).__name__}: {error}".encode()[:2000]
        made = _Error(struct_size=ctypes.sizeof(_Error), message=text, code=INTERNAL)
        return _CreateError(frame.api.contents.create_error)(ctypes.byref(made))


def _arrays(buffers: Any) -> list[np.ndarray]:
    """XLA's buffers as arrays, without a copy."""
    arrays = []
    for address in (_POINTER * buffers.size).from_address(buffers.values):
        buffer = _Buffer.from_address(address)
        *lanes, size = (_LONG * buffer.rank).from_address(buffer.dims)
        arrays.append(_array(buffer.data, buffer.dtype, math.prod(lanes), size))
    return arrays


@functools.lru_cache  # a loop has the same buffers in all its steps
def _array(address: int, dtype: int, *shape: int) -> np.ndarray:
    raw: Any = (ctypes.c_char * (math.prod(shape) * DTYPES[dtype].itemsize)).from_address(address)
    return np.ndarray(shape, DTYPES[dtype], raw)


@functools.cache
def _register_target() -> None:
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [_POINTER, ctypes.c_char_p, _POINTER]
    capsule = make(ctypes.cast(_handler, _POINTER), None, None)
    jax.ffi.register_ffi_target(TARGET, capsule, platform="cpu")
