//! A secret that a profile denies, and ways to it; each with a twin in which the same way is open.

use std::path::Path;

use super::{Caller, Check};

/// What the secret file holds.
const SECRET: &str = "the-secret-of-the-selftest";

/// One way to the secret: a name and the path that is opened.
struct Way {
    id: &'static str,
    path: String,
}

pub(super) fn checks(caller: &Caller<'_>) -> Vec<Check> {
    match prepare(caller) {
        Ok((ways, denied, open)) => ways.iter().flat_map(|way| both(caller, way, &denied, &open)).collect(),
        Err(why) => vec![Check::untried("attack", "a denied file stays unread", why)],
    }
}

type Prepared = (Vec<Way>, std::path::PathBuf, std::path::PathBuf);

fn prepare(caller: &Caller<'_>) -> Result<Prepared, String> {
    let secret = caller.write("secret", SECRET)?;
    let real = secret.canonicalize().map_err(|error| error.to_string())?;
    let link = caller.file("link");
    std::os::unix::fs::symlink(&real, &link).map_err(|error| error.to_string())?;
    let text = |path: &Path| path.display().to_string();
    let denied = caller.write("denied.sb", &denying(&text(&real)))?;
    let open = caller.write("open.sb", "(version 1)\n(allow default)\n")?;
    let folder = real.parent().map(text).unwrap_or_default();
    let mut ways = vec![
        Way { id: "by_name", path: text(&real) },
        Way { id: "by_link", path: text(&link) },
        Way { id: "by_dots", path: format!("{folder}/../{}/secret", folder.rsplit('/').next().unwrap_or_default()) },
        Way { id: "by_double_slash", path: format!("/{}", text(&real)) },
    ];
    if cfg!(target_os = "linux") {
        ways.push(Way { id: "by_proc_root", path: format!("/proc/self/root{}", text(&real)) });
    }
    Ok((ways, denied, open))
}

/// A profile that denies the data of one file, named by its real path.
pub(super) fn denying(path: &str) -> String {
    let quoted = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("(version 1)\n(allow default)\n(deny file-read-data (literal \"{quoted}\"))\n")
}

fn both(caller: &Caller<'_>, way: &Way, denied: &Path, open: &Path) -> [Check; 2] {
    let (refused, read) = ("refused", "read");
    let look = |id: String, profile: &Path, expected: &str| match caller.confined(profile, &["/bin/cat", &way.path]) {
        Ok(end) => {
            let shown = String::from_utf8_lossy(&end.stdout);
            let observed = match end.exit_status {
                _ if shown.contains(SECRET) => read.to_owned(),
                // What cat says when it was started and could not open its file.
                Some(1) => refused.to_owned(),
                _ => end.told(),
            };
            Check::compare(id, expected, observed)
        }
        Err(why) => Check::untried(id, expected, why),
    };
    [look(format!("attack.{}", way.id), denied, refused), look(format!("attack.{}.twin", way.id), open, read)]
}
