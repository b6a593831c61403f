//! A real Chromium, driven from outside (`WebDriver`).

use std::process::Command;

use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::{ParseError, Url};

use crate::harness::daemon::Daemon;
use crate::harness::installed;
use crate::harness::wait::wait_for;

/// A browser with one window.
pub(crate) struct Browser {
    /// `None` once it is closed.
    client: Option<Client>,
    runtime: Runtime,
    _driver: Daemon,
}

impl Browser {
    /// Starts it on a port of its own.
    pub(crate) fn start() -> Self {
        let program = installed::find("chromedriver").expect("chromedriver is installed");
        let driver = Daemon::spawn("chromedriver", Command::new(program).arg("--port=0"));
        let port: u16 = wait_for("chromedriver should tell its port", || {
            let lines = driver.stdout();
            let line = lines
                .iter()
                .find(|line| line.contains("started successfully"))?;
            let port = line.trim_end_matches('.').rsplit(' ').next()?;
            port.parse().ok()
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let connecting = async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities());
            builder.connect(&format!("http://127.0.0.1:{port}")).await
        };
        let client = runtime.block_on(connecting).expect("a browser");
        Self {
            client: Some(client),
            runtime,
            _driver: driver,
        }
    }

    /// Loads a page.
    pub(crate) fn open(&self, url: &str) {
        self.run(self.client().goto(url)).expect("a page");
    }

    /// What a script returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.run(self.client().execute(script, Vec::new()))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// What a script says about the first element of a selector, as text; empty without one.
    pub(crate) fn of(&self, selector: &str, property: &str) -> String {
        let script = format!("return document.querySelector('{selector}')?.{property} ?? ''");
        let value = self.script(&script);
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until the text of an element is as wanted.
    pub(crate) fn wait_for_text(&self, selector: &str, wanted: &str) {
        self.wait_for(selector, "textContent", wanted);
    }

    /// Waits until a property of an element is as wanted.
    pub(crate) fn wait_for(&self, selector: &str, property: &str, wanted: &str) {
        wait_for(&format!("`{wanted}` should be in {selector}"), || {
            self.of(selector, property).contains(wanted).then_some(())
        });
    }

    /// Clicks on an element.
    pub(crate) fn click(&self, selector: &str) {
        let click = async {
            let element = self.client().find(Locator::Css(selector)).await?;
            element.click().await
        };
        self.run(click)
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Answers the question that the page asks with yes; what it asked.
    pub(crate) fn say_yes(&self) -> String {
        let asked = wait_for("the page should ask", || {
            self.run(self.client().get_alert_text()).ok()
        });
        self.run(self.client().accept_alert()).expect("a question");
        asked
    }

    /// Everything that the browser has told its console since this was last asked.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self
            .run(self.client().issue_cmd(Console))
            .expect("its console");
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("not closed")
    }

    fn run<T>(&self, what: impl Future<Output = Result<T, CmdError>>) -> Result<T, CmdError> {
        self.runtime.block_on(what)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
    }
}

/// Root may run Chromium without its sandbox only, and a container may have a small `/dev/shm`.
fn capabilities() -> Capabilities {
    let options = json!({
        "goog:chromeOptions": { "args": [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ] },
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    options.as_object().cloned().unwrap_or_default()
}

/// Takes the console's log, a command of Chromium's own.
#[derive(Debug)]
struct Console;

impl WebDriverCompatibleCommand for Console {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
