//! `reload` and `diff`, which the process itself does, one after another.

use tokio::sync::{mpsc, oneshot};

use super::Api;
use super::command::{Answer, Client};

/// Something that is asked of the process.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub what: What,
    /// What the journal says of whoever asks.
    pub who: String,
    /// Where the answer goes, in words. It begins with [`REFUSED`] if it was not done.
    pub reply: oneshot::Sender<String>,
}

/// What can be asked of the process.
#[derive(Debug)]
pub enum What {
    /// To take the configuration from its file.
    Reload,
    /// To say what a reload would do if this were the file's text.
    Compare {
        /// What the file is called in errors.
        name: String,
        /// What it says.
        text: String,
    },
}

/// The way to ask.
pub type Asks = mpsc::UnboundedSender<Ask>;

/// The beginning of the answer to a reload that changed nothing because something is wrong.
pub const REFUSED: &str = "Not reloaded: ";

/// The beginning of the answer to a comparison with what cannot be used.
pub const UNUSABLE: &str = "A reload would be refused: ";

/// `reload`.
pub fn reload(api: &Api, client: &mut Client, _: &[&str]) -> Answer {
    ask(api, client, What::Reload)
}

/// `diff NAME <<END`, the file's text and `END`.
pub fn diff(api: &Api, client: &mut Client, words: &[&str]) -> Answer {
    let [name, text] = words else {
        return Answer::line("Require a file's name, '<<' with a word, the text and the word.");
    };
    let (name, text) = ((*name).to_owned(), (*text).to_owned());
    ask(api, client, What::Compare { name, text })
}

fn ask(api: &Api, client: &Client, what: What) -> Answer {
    let (reply, answer) = oneshot::channel();
    let who = client.who.clone();
    // Nobody takes it only if the process is about to end, and then nobody answers either.
    let _ = api.asks.send(Ask { what, who, reply });
    Answer::Later(Box::pin(async {
        let stopping = |_| format!("{REFUSED}the process is stopping.\n");
        answer.await.unwrap_or_else(stopping)
    }))
}
