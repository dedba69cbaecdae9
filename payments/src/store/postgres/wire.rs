//! Values to PostgreSQL and back, and how a connection is made.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::{
    Client, Config, Row,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::{
    query::ReadError,
    value::{Broken, Value},
};

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}

/// A column as it stands: every table has these three types and no other.
pub(super) struct Cell(pub(super) Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::TEXT => Value::Text(String::from_sql(ty, raw)?),
            Type::BYTEA => Value::Bytes(Vec::from_sql(ty, raw)?),
            ref other => return Err(format!("a column of type {other}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }
}

/// A row's columns.
pub(super) fn values(row: &Row) -> Result<Vec<Value>, Broken> {
    let cell = |column| {
        let cell: Result<Cell, _> = row.try_get(column);
        cell.map(|cell| cell.0).map_err(|error| Broken { column, what: error.to_string() })
    };
    (0..row.len()).map(cell).collect()
}

/// Our statements name their places `?1`, PostgreSQL's `$1`.
pub(super) fn dollars(sql: &str) -> String {
    sql.replace('?', "$")
}

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Engine(in_full(&error))
    }
}

/// An error with what the server said.
pub(super) fn in_full(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{}: {}", said.code().code(), said.message()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// A connection, with TLS where the URL asks for it; what drives it runs on the present runtime until the client is
/// dropped.
pub(super) async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(tls()).await?;
    // Not ours to wait for: it ends with the client.
    tokio::runtime::Handle::current().spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = in_full(&error), "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

fn tls() -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // A host without certificates of its own speaks to databases that need none.
    let (_taken, _refused) = roots.add_parsable_certificates(found.certs);
    let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
    match config {
        Ok(config) => MakeRustlsConnect::new(config),
        // The provider has every default version.
        Err(error) => unreachable!("{error}"),
    }
}
