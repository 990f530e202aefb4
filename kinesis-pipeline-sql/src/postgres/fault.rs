//! Kinds of database errors, by their causes.

use tokio_postgres::Error;

/// The cause of a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The rows: they fail again.
    Rows,
    /// The settings, the table or the rights of the user: a person must correct them.
    Setup,
    /// A cause that passes: the connection, the server's state, another transaction.
    Passing,
}

/// Returns the cause of an error, by its SQLSTATE.
pub(crate) fn fault_of(error: &Error) -> Fault {
    error
        .code()
        .map_or_else(|| of_no_code(error), |state| of_state(state.code()))
}

/// Returns the cause of a client-side error, such as a connection that cannot be made or a missing password.
fn of_no_code(error: &Error) -> Fault {
    use std::error::Error as _;
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    if error.is_closed() || io.is_some_and(|io| !is_of_certificate(io)) {
        return Fault::Passing;
    }
    Fault::Setup
}

/// Whether the server's certificate was refused, which no retry changes.
#[cfg(feature = "tls")]
fn is_of_certificate(error: &std::io::Error) -> bool {
    use tokio_rustls::rustls::Error;
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    matches!(source, Some(Error::InvalidCertificate(_)))
}

#[cfg(not(feature = "tls"))]
fn is_of_certificate(_: &std::io::Error) -> bool {
    false
}

fn of_state(state: &str) -> Fault {
    match state.get(..2).unwrap_or_default() {
        // Data, constraints, a view's check, limits such as the size of an index row, and errors that triggers raise.
        "22" | "23" | "44" | "54" | "P0" => Fault::Rows,
        // Features, rights, databases and schemas, syntax and names.
        "0A" | "28" | "3D" | "3F" | "42" => Fault::Setup,
        _ => Fault::Passing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_fault_of_rows_setup_or_nobody() {
        for state in ["22003", "23505", "22P05", "P0001", "54000"] {
            assert_eq!(of_state(state), Fault::Rows, "{state}");
        }
        for state in ["42703", "42P01", "42501", "28P01", "3D000"] {
            assert_eq!(of_state(state), Fault::Setup, "{state}");
        }
        for state in ["57P01", "40P01", "53300", "25006", "08006", "55P03", ""] {
            assert_eq!(of_state(state), Fault::Passing, "{state}");
        }
    }
}
