//! The stats page in a real Chromium.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use libtest_mimic::Trial;

use crate::chromium::Browser;
use crate::harness::backstop::Backstop;
use crate::harness::farm::Farm;
use crate::harness::server::Server;
use crate::programs::{Need, trial};

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let needs = [Need::Program("chromium"), Need::Program("chromedriver")];
    let tests: [(&str, fn()); 3] = [
        (
            "browser::a_killed_server_turns_red_without_a_reload",
            killed,
        ),
        ("browser::servers_are_drained_by_those_who_may", drained),
        ("browser::a_page_of_another_origin_changes_nothing", foreign),
    ];
    tests
        .into_iter()
        .map(move |(name, test)| trial(name, &needs, test))
}

struct Served {
    farm: Farm,
    servers: Vec<Server>,
    _backstop: Backstop,
}

impl Served {
    /// Three servers; the agent of the third speaks as somebody would who wants to do harm.
    fn start() -> Self {
        let farm = Farm::new();
        let mut servers: Vec<_> = (1..=3)
            .map(|number| Server::named(farm.next(), &format!("s{number}")))
            .collect();
        let agent = Server::start(farm.next(), |mut stream| {
            let _ = stream.write_all(b"down#<script>window.harmed=1</script><img src=x>\n");
            let _ = stream.shutdown(Shutdown::Write);
        });
        let check = "check = { interval = \"100ms\" }";
        let hostile = format!(
            "{check}, agent = {{ port = {}, interval = \"100ms\" }}",
            agent.address().port()
        );
        // The agent is asked at its server's own address.
        assert_eq!(agent.address().ip(), servers[2].address().ip());
        let farm = farm
            .top("threads = 2")
            .server("s1", servers[0].address(), check)
            .server("s2", servers[1].address(), check)
            .server("s3", servers[2].address(), &hostile);
        servers.push(agent);
        let config = farm.config() + USERS;
        let backstop = Backstop::start(&config);
        farm.stats().wait_for_check("s1");
        farm.stats().wait_for_down("s3");
        Self {
            farm,
            servers,
            _backstop: backstop,
        }
    }

    /// The page's address for a user.
    fn page(&self, user: &str) -> String {
        format!("http://{user}:{user}@{}/", self.stats())
    }

    fn stats(&self) -> SocketAddr {
        self.farm.stats().address
    }
}

/// Added to the table `[stats]`, which is the last. `admin` may change servers.
const USERS: &str = "admin = true\nusers = [{ name = \"wall\", password = \"wall\" }]\n";

fn assert_clean(browser: &Browser) {
    let told = browser.console();
    assert!(told.is_empty(), "{told:?}");
}

fn killed() {
    let mut served = Served::start();
    let browser = Browser::start();
    browser.open(&served.page("wall"));
    browser.wait_for_text("#mode", "Live");
    browser.wait_for("#b0-0", "className", "up");
    assert!(
        browser
            .of("#r0", "textContent")
            .contains("2 of 3 primaries")
    );
    browser.script("window.loaded = 'once'");
    served.servers[0].stop();
    browser.wait_for("#b0-0", "className", "down");
    browser.wait_for_text("#r0", "1 of 3 primaries");
    browser.wait_for_text("#troubles", "Connection refused");
    browser.wait_for_text("#events b", "bk/s1 is down");
    browser.wait_for("#b0-0 td:nth-child(23)", "textContent", "DOWN");
    let red = "return getComputedStyle(document.querySelector('#b0-0')).backgroundColor";
    assert_eq!(browser.script(red), "rgb(255, 144, 144)");
    served.servers[0].restart();
    browser.wait_for("#b0-0", "className", "up");
    assert_eq!(browser.script("return window.loaded"), "once");
    // What the hostile agent said is there, as text.
    assert!(
        browser
            .of("#troubles", "textContent")
            .contains("<script>window.harmed=1")
    );
    assert_eq!(
        browser.script("return window.harmed ?? 'unharmed'"),
        "unharmed"
    );
    assert_eq!(browser.script("return document.images.length"), 0);
    assert_eq!(browser.script("return document.forms.length"), 0);
    assert_clean(&browser);
}

fn drained() {
    let served = Served::start();
    let browser = Browser::start();
    browser.open(&served.page("admin"));
    browser.wait_for_text("#mode", "Live");
    browser.click("#b0-0 input");
    // What is selected stays so while the rows change.
    served.farm.connect();
    browser.wait_for("#b0-3 td:nth-child(11)", "textContent", "1");
    browser.click("[name=action] option[value=drain]");
    browser.click("#b0 button");
    let asked = browser.say_yes();
    assert!(asked.contains("bk: s1"), "{asked}");
    browser.wait_for_text(".outcome", "Done.");
    browser.wait_for("#b0-0", "className", "dr");
    browser.wait_for_text("#events", "set by admin on the stats page");
    assert_eq!(served.farm.stats().row("s1")["status"], "DRAIN");
    assert_clean(&browser);
}

fn foreign() {
    let served = Served::start();
    let stats = served.stats();
    let trap = Server::start(served.farm.next(), move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let form = format!(
            "<form method=post action=http://{stats}/><input name=b value=bk><input name=s value=s1>\
             <input name=action value=drain><button>Win</button></form>"
        );
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
        let _ = write!(
            stream,
            "{head}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let _ = stream.shutdown(Shutdown::Write);
    });
    let browser = Browser::start();
    // The browser knows the password from now on, and sends it with whatever it is asked to.
    browser.open(&served.page("admin"));
    browser.wait_for_text("#mode", "Live");
    browser.open(&format!("http://{}/", trap.address()));
    browser.click("button");
    browser.wait_for_text("body", "Refused");
    assert!(served.farm.stats().row("s1")["status"].starts_with("UP"));
}
