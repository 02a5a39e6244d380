//! Measures the learning: figures on stdout, a table on stderr. `tools/eval.sh` starts it, docs/eval.md explains it.

use std::process::ExitCode;

use hitl_labeler::eval::options::Options;
use hitl_labeler::eval::run;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => return fail(2, &why),
    };
    match run(&options, &mut std::io::stdout(), &mut std::io::stderr()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => fail(1, &format!("targets missed: {missed}")),
        Err(why) => fail(2, &why),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("eval: {why}");
    ExitCode::from(code)
}
