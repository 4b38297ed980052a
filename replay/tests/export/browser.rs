//! The HTML export in headless Chromium: it plays, seeks, asks nobody for anything, and hostile content stays text.
//!
//! Needs `chromium` on the path, and is skipped with a message where there is none. `WARDEN_SCREENSHOTS=FOLDER` keeps
//! pictures of what the tests saw.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use crate::chromium::{self, Chromium};
use crate::recorded;

/// A place that no export may ask: hostile content of the recorded session names it.
const LEAK: &str = "leak.test";

struct Page {
    browser: Chromium,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

impl Page {
    /// Exports the recorded session and opens it; `None` where there is no browser.
    fn open(hash: &str) -> Option<Self> {
        let Some(program) = chromium::find() else {
            eprintln!("skipped: no chromium on the path (apt-get install chromium)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("capture.jsonl");
        std::fs::write(&capture, recorded::session()).unwrap();
        let html = folder.path().join("session.html");
        export(&capture, "html", &html);
        let (port, asked) = proxy();
        let mut browser = Chromium::launch(&program, port);
        let url = format!("file://{}", html.display());
        browser.visit(&format!("{url}{hash}"));
        browser.until("document.body?.dataset.ready === 'true'");
        Some(Self { browser, url, asked, folder })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|line| line.contains(LEAK)).cloned().collect()
    }

    fn screen(&mut self) -> String {
        let text = self.browser.eval("document.getElementById('screen').getAttribute('aria-label')");
        text.as_str().unwrap().to_owned()
    }

    fn picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("WARDEN_SCREENSHOTS") {
            let picture = self.browser.picture();
            std::fs::write(PathBuf::from(folder).join(name), picture).unwrap();
        }
    }
}

fn export(capture: &Path, form: &str, to: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
    let done = command.args(["export", "--to", form]).arg(capture).arg("-o").arg(to).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A proxy that answers nothing and notes what it is asked.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 2048];
            let read = stream.read(&mut head).unwrap_or(0);
            noted.lock().unwrap().push(String::from_utf8_lossy(&head[..read]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (port, asked)
}

const TIME: &str = "Number(document.body.dataset.time)";

#[test]
fn it_plays_by_keyboard() {
    let Some(mut page) = Page::open("") else { return };
    assert_eq!(page.browser.eval(TIME), json!(0));
    page.browser.key(" ");
    page.browser.until(&format!("{TIME} > 700"));
    page.browser.key(" ");
    let stopped = page.browser.eval(TIME);
    page.browser.until("document.getElementById('play').getAttribute('aria-label') === 'Play'");
    assert_eq!(page.browser.eval(TIME), stopped);
    page.browser.key("?");
    page.browser.until("document.getElementById('dialog').open");
    page.picture("keys.png");
}

#[test]
fn it_seeks_to_what_is_clicked() {
    let Some(mut page) = Page::open("") else { return };
    page.browser.eval(
        "[...document.querySelectorAll('#list button')].find((b) => b.textContent.includes('cat /etc/shadow')).click()",
    );
    page.browser.until(&format!("{TIME} > 0"));
    let screen = page.screen();
    assert!(screen.ends_with("sh-5.2$ cat /etc/shadow"), "{screen}");
    page.picture("seek.png");
    page.browser.key("End");
    let (end, text) = (page.screen(), page.folder.path().join("session.txt"));
    export(&page.folder.path().join("capture.jsonl"), "text", &text);
    let text = std::fs::read_to_string(text).unwrap();
    let lines = text.trim_end().split('\n').map(str::trim_end).filter(|line| !line.starts_with("-- removed"));
    assert_eq!(end.split('\n').collect::<Vec<_>>(), lines.collect::<Vec<_>>(), "the last screen holds all lines");
    page.browser.key("Home");
    page.browser.key("f");
    let first = page.screen();
    assert!(first.ends_with("sh-5.2$ cat /etc/shadow"), "{first}");
    page.browser.key(".");
    assert_ne!(page.screen(), first);
    page.browser.key(",");
    assert_eq!(page.screen(), first, "back and forth shows the same");
}

#[test]
fn no_request_leaves_the_page() {
    let Some(mut page) = Page::open("#play") else { return };
    page.browser.until(&format!("{TIME} > 500"));
    page.browser.key("End");
    for attempt in [
        "fetch('http://leak.test/fetch').then(() => 'sent', () => 'refused')",
        "new Promise((done) => { const image = new Image(); image.onload = image.onerror = () => done('refused'); image.src = 'http://leak.test/image'; })",
        "new Promise((done) => { const script = document.createElement('script'); script.onerror = () => done('refused'); script.src = 'http://leak.test/script'; document.body.append(script); })",
    ] {
        assert_eq!(page.browser.eval(attempt), json!("refused"), "{attempt}");
    }
    assert_eq!(page.asked(), Vec::<String>::new());
    let file = page.url.clone();
    let elsewhere: Vec<String> = page.browser.requested().into_iter().filter(|url| !url.starts_with(&file)).collect();
    assert!(elsewhere.iter().all(|url| url.contains("leak.test/")), "only the attempts above: {elsewhere:?}");
    // The same attempt from a page without the policy does arrive: the proxy would have seen it.
    let control = page.folder.path().join("control.html");
    std::fs::write(&control, "<img src=http://leak.test/control>").unwrap();
    page.browser.visit(&format!("file://{}", control.display()));
    chromium::poll(|| !page.asked().is_empty());
}

#[test]
fn hostile_content_stays_text() {
    let Some(mut page) = Page::open("") else { return };
    page.browser.key("End");
    assert_eq!(page.browser.eval("document.title"), json!("Session without an id"));
    assert_eq!(page.browser.eval("document.querySelectorAll('img, iframe, object, a, [onerror]').length"), json!(0));
    assert_eq!(page.browser.eval("document.querySelectorAll('script').length"), json!(3));
    assert_eq!(page.browser.eval("window.owned === undefined"), json!(true));
    let list = page.browser.eval("document.getElementById('list').textContent");
    let list = list.as_str().unwrap();
    assert!(list.contains("</script><script>window.owned=1</script>"), "{list}");
    assert!(list.contains("\\u{202e}") && !list.contains('\u{202e}'), "{list}");
    let name = page.browser.eval("document.getElementById('name').textContent");
    assert_eq!(name, json!("<img src=http://leak.test/title onerror=window.owned=1>"));
    let whole = page.browser.eval("document.documentElement.outerHTML");
    assert!(!whole.as_str().unwrap().contains(recorded::SECRET), "what was typed without an echo is nowhere");
}

#[test]
fn the_panel_is_searched_and_filtered() {
    let Some(mut page) = Page::open("") else { return };
    let shown = "[...document.querySelectorAll('#list li')].filter((item) => !item.hidden).length";
    let all = page.browser.eval(shown).as_u64().unwrap();
    page.browser.key("/");
    page.browser
        .eval("{ const box = document.activeElement; box.value = 'SHADOW'; box.dispatchEvent(new Event('input')); }");
    let found = page.browser.eval(shown).as_u64().unwrap();
    assert!(found >= 2 && found < all, "the command and its finding: {found} of {all}");
    page.browser.eval(
        "[...document.querySelectorAll('#chips button')].find((b) => b.textContent.startsWith('Commands')).click()",
    );
    assert_eq!(page.browser.eval(shown), json!(1));
    page.picture("search.png");
}

#[test]
fn it_fits_a_phone_and_has_names_for_everything() {
    let Some(mut page) = Page::open("#command=3&hidden") else { return };
    let nameless = "[...document.querySelectorAll('button, input, select, [role=img]')].filter((e) => \
        !(e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent || '').trim()).length";
    assert_eq!(page.browser.eval(nameless), json!(0));
    for (scheme, name) in [("dark", "desktop-dark.png"), ("light", "desktop-light.png")] {
        page.browser.show_as(1280, 800, scheme);
        page.picture(name);
    }
    for (scheme, name) in [("dark", "phone-dark.png"), ("light", "phone-light.png")] {
        page.browser.show_as(390, 844, scheme);
        page.browser.until("document.documentElement.scrollWidth <= 390");
        page.picture(name);
    }
    let aligned = "(() => { const wide = [...document.querySelectorAll('#screen .w2')].map((e) => e.getBoundingClientRect().width); \
        const one = document.querySelector('#screen .row').getBoundingClientRect().height; \
        return wide.length > 0 && wide.every((w) => Math.abs(w - wide[0]) < 0.01) && one > 0; })()";
    page.browser.key("v");
    page.picture("phone-verify.png");
    page.browser.eval("document.getElementById('dialog').close()");
    page.browser.key("End");
    assert_eq!(page.browser.eval(aligned), json!(true), "wide characters take two columns");
}
