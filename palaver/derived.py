"""What streams and TLS are given of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from palaver.config import Config, ConfigError
from palaver.settings import Certificate, ComponentListener
from palaver.streams.settings import StreamSettings
from palaver.streams.tls import CertificateError, CertificateFiles, TlsContexts, TlsSettings


def stream_settings(config: Config, tls: str, wake: Callable[..., Any]) -> StreamSettings:
    """Give the settings of client streams; ``tls`` as in ``[listen]``, ``wake`` as in `Domains.wake`."""
    limits = config.limits
    return StreamSettings(
        tls=tls,
        max_stanza_bytes=limits.max_stanza_bytes,
        auth_timeout_s=limits.auth_timeout_s,
        tls_timeout_s=limits.tls_timeout_s,
        idle_s=limits.idle_s,
        write_timeout_s=limits.write_timeout_s,
        max_unsent_bytes=limits.max_unsent_bytes,
        rate=limits.c2s_rate_bytes_per_s if limits.enabled else None,
        burst=limits.c2s_burst_bytes,
        language=config.general.language,
        wake=wake,
    )


def component_settings(config: Config, table: ComponentListener, wake: Callable[..., Any]) -> StreamSettings:
    """Give the settings of components' streams at a port."""
    # A component speaks for many: no rate limits it, but its own end does.
    settings = stream_settings(config, table.tls, wake)
    return replace(settings, max_stanza_bytes=table.max_stanza_bytes, rate=None)


def tls_settings(config: Config, named: Callable[..., Any]) -> TlsSettings:
    """Give where certificates are; ``named`` as in `Domains.named`."""
    hosts = {domain: _files(table) for domain, table in config.tls.hosts.items()}
    return TlsSettings(
        config.general.data_dir,
        config.general.hosts,
        _files(config.tls),
        {domain: found for domain, found in hosts.items() if found is not None},
        config.tls.client_ca,
        config.tls.directory,
        named,
    )


def tls_contexts(config: Config, named: Callable[..., Any]) -> TlsContexts:
    """Read every certificate; raises `ConfigError`."""
    try:
        return TlsContexts(tls_settings(config, named))
    except CertificateError as error:
        raise ConfigError(str(error)) from None


def _files(table: Certificate) -> CertificateFiles | None:
    if table.certificate is None or table.key is None:
        return None
    return CertificateFiles(table.certificate, table.key)
