//! The programs.

use super::program::{Program, Removed, nothing};
use super::support::Place;

/// Every program that is tried.
pub(crate) const ALL: &[Program] = &[
    Program {
        name: "find",
        tools: &["find"],
        profile: "find.sb",
        params: &[("TREE", "/usr")],
        env: &[],
        prepare: |_| {},
        command: &["find", "/usr", "-maxdepth", "3", "-name", "*.h"],
        result: nothing,
        shows: "/usr/include/",
        removed: Removed {
            rule: "(allow file-read-data (subpath (param \"TREE\")))",
            operation: "file-read-data",
            target: "/usr",
        },
    },
    Program {
        name: "shell_pipeline",
        tools: &["sh", "cat", "sort", "uniq"],
        profile: "shell-pipeline.sb",
        params: &[("DIR", "$W/data")],
        env: &[],
        prepare: |place| {
            place.directory("data");
            place.file("data/words", "b\na\nb\n");
        },
        command: &["sh", "-c", "cat $W/data/words | sort | uniq -c"],
        result: nothing,
        shows: "2 b",
        removed: Removed {
            rule: "(allow process-exec (literal \"/usr/bin/sort\"))",
            operation: "process-exec*",
            target: "/usr/bin/sort",
        },
    },
    Program {
        name: "text_edit",
        tools: &["sh", "grep", "xargs", "sed"],
        profile: "text-edit.sb",
        params: &[("DIR", "$W/data")],
        env: &[],
        prepare: |place| {
            place.directory("data");
            place.file("data/a", "needle\n");
            place.file("data/b", "hay\n");
        },
        command: &["sh", "-c", "grep -rl needle $W/data | xargs sed -i s/needle/thread/"],
        result: |place| place.text("data/a").unwrap() + &place.text("data/b").unwrap(),
        shows: "thread",
        removed: Removed {
            rule: "(allow file-write-unlink (subpath (param \"DIR\")))",
            operation: "file-write-unlink",
            target: "$W/data/sed*",
        },
    },
    Program {
        name: "git_status",
        tools: &["git"],
        profile: "git.sb",
        params: GIT_PARAMS,
        env: &[],
        prepare: repository,
        command: &["git", "-C", "$W/repo", "status", "--short"],
        result: nothing,
        shows: "?? new",
        removed: Removed {
            rule: "(allow file-read-data file-read-metadata file-test-existence (subpath (param \"REPO\")))",
            operation: "file-read-metadata",
            target: "$W/repo",
        },
    },
    Program {
        name: "git_commit",
        tools: &["git"],
        profile: "git.sb",
        params: GIT_PARAMS,
        env: &[("GIT_AUTHOR_DATE", "2001-02-03T04:05:06Z"), ("GIT_COMMITTER_DATE", "2001-02-03T04:05:06Z")],
        prepare: repository,
        command: &["git", "-C", "$W/repo", "commit", "-a", "-m", "second"],
        result: |place| place.text("repo/.git/refs/heads/main").unwrap(),
        shows: "1 file changed",
        removed: Removed {
            rule: "(allow file-write-create (subpath (string-append (param \"REPO\") \"/.git\")))",
            operation: "file-write-create",
            target: "$W/repo/.git/index.lock",
        },
    },
    Program {
        name: "python",
        tools: &["python3"],
        profile: "python.sb",
        params: &[("DATA", "$W/data")],
        env: &[],
        prepare: |place| {
            place.directory("data");
            place.file("data/a.json", "{\"numbers\": [20, 22]}");
        },
        command: &[
            "python3",
            "-c",
            "import json, ssl; print(sum(json.load(open('$W/data/a.json'))['numbers']), ssl.create_default_context().check_hostname)",
        ],
        result: nothing,
        shows: "42 True",
        removed: Removed {
            rule: "(allow file-read-data file-read-metadata (subpath (param \"DATA\")))",
            operation: "file-read-data",
            target: "$W/data/a.json",
        },
    },
    Program {
        name: "sqlite",
        tools: &["python3"],
        profile: "sqlite.sb",
        params: &[("DATABASE", "$W/data.db")],
        env: &[],
        prepare: |_| {},
        command: &[
            "python3",
            "-c",
            "import sqlite3\nc = sqlite3.connect('$W/data.db')\nc.execute('create table t(n)')\n\
             c.execute('insert into t values (41)')\nc.commit()\nprint(c.execute('select n + 1 from t').fetchall())",
        ],
        result: nothing,
        shows: "[(42,)]",
        removed: Removed {
            rule: "(allow file-write-create (prefix (string-append (param \"DATABASE\") \"-\")))",
            operation: "file-write-create",
            target: "$W/data.db-journal",
        },
    },
    Program {
        name: "tar_gzip",
        tools: &["sh", "tar", "gzip"],
        profile: "tar-gzip.sb",
        params: &[("FROM", "$W/data"), ("ARCHIVE", "$W/a.tgz"), ("TO", "$W/out")],
        env: &[],
        prepare: |place| {
            place.directory("out");
            place.directory("data");
            place.directory("data/d");
            place.file("data/d/f", "packed\n");
            place.mode("data/d/f", 0o640);
            place.plainly(&["touch", "-h", "-d", "2001-02-03", &place.path("data/d/f")]);
            place.link("data/l", "d/f");
        },
        command: &["sh", "-c", "cd $W && tar czf a.tgz data && tar xzf a.tgz -C out"],
        result: |place| {
            place.text("out/data/l").unwrap()
                + &place.plainly(&["stat", "-L", "-c", "%a %y", &place.path("out/data/l")])
        },
        shows: "packed",
        removed: Removed {
            rule: "(allow process-exec (literal \"/usr/bin/gzip\"))",
            operation: "process-exec*",
            target: "/usr/bin/gzip",
        },
    },
    Program {
        name: "make_cc",
        tools: &["make", "cc"],
        profile: "make-cc.sb",
        params: &[("DIR", "$W/source"), ("TMP", "$W/tmp")],
        env: &[],
        prepare: |place| {
            place.directory("source");
            place.file("source/Makefile", "hello: hello.o\n\tcc -o hello hello.o\nhello.o: hello.c\n\tcc -c hello.c\n");
            place.file("source/hello.c", "#include <stdio.h>\nint main(void) { puts(\"compiled\"); }\n");
        },
        command: &["make", "-C", "$W/source"],
        result: |place| place.plainly(&[&place.path("source/hello")]),
        shows: "compiled",
        removed: Removed {
            rule: "(allow file-read-data (subpath \"/usr/include\"))",
            operation: "file-read-data",
            target: "/usr/include/*",
        },
    },
    Program {
        name: "cargo_build",
        tools: &["cargo", "cc"],
        profile: "cargo-build.sb",
        params: &[
            ("TOOLCHAIN", "$TOOLCHAIN"),
            ("PACKAGE", "$W/package"),
            ("CARGO_HOME", "$W/home/.cargo"),
            ("TMP", "$W/tmp"),
        ],
        env: &[("CARGO_HOME", "$W/home/.cargo"), ("PATH", "$TOOLCHAIN/bin:/usr/bin:/bin")],
        prepare: package,
        command: &["cargo", "build", "--offline", "--manifest-path", "$W/package/Cargo.toml"],
        result: |place| place.plainly(&[&place.path("package/target/debug/hello")]),
        shows: "built 5",
        removed: Removed {
            rule: "(allow file-write* file-link file-lock (prefix (string-append (param \"PACKAGE\") \"/target\")))",
            operation: "file-write-create",
            target: "$W/package/target*",
        },
    },
    Program {
        name: "curl",
        tools: &["curl"],
        profile: "curl.sb",
        params: &[("PORT", "$PORT"), ("OUT", "$W/fetched")],
        env: &[],
        prepare: |_| {},
        command: &["curl", "-sS", "-o", "$W/fetched", "http://127.0.0.1:$PORT/"],
        result: |place| place.text("fetched").unwrap(),
        shows: "fetched",
        removed: Removed {
            rule: "(allow network-outbound (remote tcp (string-append \"*:\" (param \"PORT\"))))",
            operation: "network-outbound",
            target: "tcp:127.0.0.1:$PORT",
        },
    },
    Program {
        name: "ssh_keygen",
        tools: &["ssh-keygen"],
        profile: "ssh-keygen.sb",
        params: &[("KEY", "$W/key")],
        env: &[],
        prepare: |_| {},
        command: &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", "$W/key"],
        // The keys differ from run to run.
        result: |place| {
            let public = place.text("key.pub").unwrap();
            assert!(place.text("key").unwrap().contains("PRIVATE KEY"));
            format!("{} {}", &public[..12], public.trim_end().rsplit(' ').next().unwrap())
        },
        shows: "ssh-ed25519  test",
        removed: Removed {
            rule: "(allow file-read-metadata file-write-create file-write-mode (literal (param \"KEY\")))",
            operation: "file-write-create",
            target: "$W/key",
        },
    },
    Program {
        name: "openssl_digest",
        tools: &["openssl"],
        profile: "openssl-digest.sb",
        params: &[("FILE", "$W/a")],
        env: &[],
        prepare: |place| {
            place.file("a", "abc");
        },
        command: &["openssl", "dgst", "-sha256", "$W/a"],
        result: nothing,
        shows: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        removed: Removed {
            rule: "(allow file-read-data file-read-metadata (literal (param \"FILE\")))",
            operation: "file-read-data",
            target: "$W/a",
        },
    },
];

const GIT_PARAMS: &[(&str, &str)] = &[("REPO", "$W/repo"), ("HOME", "$W/home")];

/// A repository with one commit, a changed file and a new one.
fn repository(place: &Place) {
    place.directory("repo");
    place.file("repo/one", "one\n");
    let git = |words: &str| {
        let start =
            ["env", "GIT_COMMITTER_DATE=2001-01-01T00:00:00Z", "git", "-C", "repo", "-c", "init.defaultBranch=main"];
        let words: Vec<&str> = start.into_iter().chain(words.split(' ')).collect();
        place.plainly(&words);
    };
    git("init -q");
    git("config user.name Test");
    git("config user.email test@example.org");
    std::fs::remove_dir_all(place.path("repo/.git/hooks")).unwrap();
    git("add -A");
    git("commit -q -m first --date 2001-01-01T00:00:00Z");
    place.file("repo/one", "one more\n");
    place.file("repo/new", "new\n");
}

/// A package with one path dependency.
fn package(place: &Place) {
    for name in ["home/.cargo", "package", "package/src", "package/dep", "package/dep/src"] {
        place.directory(name);
    }
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n{more}")
    };
    place.file("package/Cargo.toml", &manifest("hello", "[dependencies]\ndep = { path = \"dep\" }\n"));
    place.file("package/src/main.rs", "fn main() {\n    println!(\"built {}\", dep::number());\n}\n");
    place.file("package/dep/Cargo.toml", &manifest("dep", "").replace("[workspace]\n", ""));
    place.file("package/dep/src/lib.rs", "pub fn number() -> u32 {\n    5\n}\n");
}
