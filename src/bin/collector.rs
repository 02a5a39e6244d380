//! The collector: serves the page and keeps the records.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use hitl_labeler::collector::options::{Asked, HELP, read};
use hitl_labeler::collector::serve::serve;

fn main() -> ExitCode {
    let options = match read(std::env::args_os().skip(1), std::env::var("DATABASE_URL").ok()) {
        Ok(Asked::Help) => return say(HELP),
        Ok(Asked::Version) => return say(concat!("collector ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Asked::Serve(options)) => options,
        Err(why) => return fail(2, &why),
    };
    if options.tokens.is_none() && !options.host.is_loopback() {
        eprintln!("collector: no --tokens: whoever reaches {} can read and add records", options.host);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return fail(1, &why),
    };
    let served = runtime.block_on(serve(
        options,
        |address| {
            say(&format!("http://{address}/\n"));
        },
        stop(),
    ));
    // An export that nobody reads any more is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(1, &why),
    }
}

/// Ready once the process is asked to end.
async fn stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

fn say(text: &str) -> ExitCode {
    let mut out = std::io::stdout();
    // Whoever started it may have closed its output; that is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

fn fail(code: u8, why: &dyn std::error::Error) -> ExitCode {
    eprintln!("collector: {why}");
    ExitCode::from(code)
}
