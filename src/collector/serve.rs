//! Listening, from the options to the last answer.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::options::{Keep, Options};
use super::routes::{Settings, router};
use super::store::{OpenError, Postgres, Sqlite, Store};
use super::tokens::{Tokens, TokensError};

/// How long requests under way may take once the collector is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Why the collector does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// `--dir` is not a folder.
    #[error("--dir {}: there is no such folder: build the page first, or leave --dir out", .0.display())]
    NoDir(PathBuf),
    /// The records would be served as files.
    #[error(
        "--data {}: lies within --dir, so everybody could download the database: give a folder outside",
        .0.display()
    )]
    DataServed(PathBuf),
    /// The tokens would be served as a file.
    #[error(
        "--tokens {}: lies within --dir, so everybody could download it: give a file outside",
        .0.display()
    )]
    TokensServed(PathBuf),
    /// The address cannot be listened on.
    #[error("{address}: cannot listen there ({why}): give another --port (0 for any) or --host")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        why: std::io::Error,
    },
    /// The system took the listener away.
    #[error("the server failed: {0}")]
    Failed(std::io::Error),
}

/// Serves until `stop` is ready, then finishes the requests under way and closes the database.
/// `listening` is called once with the address.
///
/// # Errors
/// Why it does not run.
pub async fn serve(
    options: Options,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Some(dir) = &options.dir
        && !dir.is_dir()
    {
        return Err(ServeError::NoDir(dir.clone()));
    }
    // Where it is, or where a link to it is.
    let served = |path: &Path| {
        let Some(dir) = options.dir.as_deref().and_then(|dir| dir.canonicalize().ok()) else { return false };
        let within = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&dir));
        let folder = path.file_name().and(path.parent());
        within(path) || folder.is_some_and(|folder| within(&Path::new(".").join(folder)))
    };
    if let Keep::Folder(data) = &options.keep {
        // Made first: a path that does not exist yet cannot be compared. `open` says what went wrong.
        let _ = std::fs::create_dir_all(data);
        if served(data) {
            return Err(ServeError::DataServed(data.clone()));
        }
    }
    if let Some(tokens) = options.tokens.as_deref().filter(|tokens| served(tokens)) {
        return Err(ServeError::TokensServed(tokens.to_owned()));
    }
    let tokens = options.tokens.as_deref().map(Tokens::read).transpose()?;
    let (store, writer) = match &options.keep {
        Keep::Folder(data) => {
            let (store, writer) = Sqlite::open(data)?;
            (Store::Sqlite(store), Some(writer))
        }
        Keep::Database(address) => {
            (Store::Postgres(Postgres::open(address, options.connections).await?), None)
        }
    };
    let address = SocketAddr::new(options.host, options.port);
    let listener = TcpListener::bind(address).await.map_err(|why| ServeError::Listen { address, why })?;
    let bound = listener.local_addr().map_err(ServeError::Failed)?;
    let settings = Settings {
        origins: options.origins,
        loopback: options.host.is_loopback(),
        max_body: options.max_body,
        tokens,
        answers_per_item: options.answers_per_item,
        log: options.log,
    };
    let routes = router(store, settings, options.dir.as_deref());
    listening(bound);

    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    let out_of_patience = async move {
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = async { server.await } => ended.map_err(ServeError::Failed)?,
        () = out_of_patience => return Ok(()),
    }
    // Every request is answered, so nobody else holds the store: what was acknowledged is written.
    if let Some(writer) = writer {
        let _ = tokio::task::spawn_blocking(move || writer.finish()).await;
    }
    Ok(())
}
