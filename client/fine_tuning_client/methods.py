"""The operations as methods, blocking and awaited, made from their flows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from inspect import Parameter, signature
from typing import Any, Concatenate, ParamSpec, TypeVar

from fine_tuning_client import operations, waiting
from fine_tuning_client.effects import Flow, Stream
from fine_tuning_client.training_file_check import check_training_file

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])


def _run(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[Any, P], T]:
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._run(flow(*args, **kwargs))
        return result

    return _with_signature_of(method, flow, "{}")


def _iterate(flow: Callable[P, Stream[T]]) -> Callable[Concatenate[Any, P], Generator[T, None, None]]:
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        items: Generator[T, None, None] = self._stream(flow(*args, **kwargs))
        return items

    return _with_signature_of(method, flow, "Generator[{}, None, None]")


def _run_async(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = await self._run(flow(*args, **kwargs))
        return result

    return _with_signature_of(method, flow, "{}")


def _iterate_async(flow: Callable[P, Stream[T]]) -> Callable[Concatenate[Any, P], AsyncGenerator[T, None]]:
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        items: AsyncGenerator[T, None] = self._stream(flow(*args, **kwargs))
        return items

    return _with_signature_of(method, flow, "AsyncGenerator[{}, None]")


def _with_signature_of(method: M, flow: Callable[..., Any], returns: str) -> M:
    """Make `help()` show the method; `functools.wraps` would show the flow."""
    flow_signature = signature(flow)
    item = str(flow_signature.return_annotation).partition("[")[2].removesuffix("]")
    parameters = [Parameter("self", Parameter.POSITIONAL_ONLY), *flow_signature.parameters.values()]
    attributes = {
        "__name__": flow.__name__,
        "__qualname__": flow.__qualname__,
        "__doc__": flow.__doc__,
        "__signature__": flow_signature.replace(parameters=parameters, return_annotation=returns.format(item)),
    }
    for name, value in attributes.items():
        setattr(method, name, value)
    return method


class SyncMethods:
    """Every operation, blocking; a subclass runs the flows."""

    create_job = _run(operations.create_job)
    list_jobs = _run(operations.list_jobs)
    retrieve_job = _run(operations.retrieve_job)
    cancel_job = _run(operations.cancel_job)
    pause_job = _run(operations.pause_job)
    resume_job = _run(operations.resume_job)
    list_job_events = _run(operations.list_job_events)
    list_job_checkpoints = _run(operations.list_job_checkpoints)

    upload_file = _run(operations.upload_file)
    list_files = _run(operations.list_files)
    retrieve_file = _run(operations.retrieve_file)
    delete_file = _run(operations.delete_file)
    download_file = _run(operations.download_file)
    check_training_file = staticmethod(check_training_file)

    list_models = _run(operations.list_models)
    retrieve_model = _run(operations.retrieve_model)
    delete_model = _run(operations.delete_model)

    iter_jobs = _iterate(waiting.iter_jobs)
    iter_job_events = _iterate(waiting.iter_job_events)
    iter_job_checkpoints = _iterate(waiting.iter_job_checkpoints)
    iter_files = _iterate(waiting.iter_files)
    wait_for_job = _run(waiting.wait_for_job)
    follow_job_events = _iterate(waiting.follow_job_events)
    result_metrics = _run(waiting.result_metrics)


class AsyncMethods:
    """Every operation, awaited; a subclass runs the flows."""

    create_job = _run_async(operations.create_job)
    list_jobs = _run_async(operations.list_jobs)
    retrieve_job = _run_async(operations.retrieve_job)
    cancel_job = _run_async(operations.cancel_job)
    pause_job = _run_async(operations.pause_job)
    resume_job = _run_async(operations.resume_job)
    list_job_events = _run_async(operations.list_job_events)
    list_job_checkpoints = _run_async(operations.list_job_checkpoints)

    upload_file = _run_async(operations.upload_file)
    list_files = _run_async(operations.list_files)
    retrieve_file = _run_async(operations.retrieve_file)
    delete_file = _run_async(operations.delete_file)
    download_file = _run_async(operations.download_file)
    check_training_file = staticmethod(check_training_file)  # nothing is sent, so nothing is awaited

    list_models = _run_async(operations.list_models)
    retrieve_model = _run_async(operations.retrieve_model)
    delete_model = _run_async(operations.delete_model)

    iter_jobs = _iterate_async(waiting.iter_jobs)
    iter_job_events = _iterate_async(waiting.iter_job_events)
    iter_job_checkpoints = _iterate_async(waiting.iter_job_checkpoints)
    iter_files = _iterate_async(waiting.iter_files)
    wait_for_job = _run_async(waiting.wait_for_job)
    follow_job_events = _iterate_async(waiting.follow_job_events)
    result_metrics = _run_async(waiting.result_metrics)
