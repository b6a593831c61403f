//! A line to commands, a command to words.
//!
//! As in HAProxy, `;` parts commands, spaces and tabs part words, a backslash takes the meaning
//! from what follows it, and `<<END` at the end of a line says that lines follow, up to one that
//! is `END`, which are the last command's last word (management.txt, "Unix Socket commands").

/// The line without its `<<END`, and the `END`. HAProxy also takes `<<` alone, which an empty line
/// ends: no configuration could be sent so.
pub fn payload(line: &str) -> (&str, Option<&str>) {
    match line.trim_end().rsplit_once("<<") {
        Some((commands, end)) if !end.is_empty() && !end.contains([' ', '\t']) => {
            (commands, Some(end))
        }
        _ => (line, None),
    }
}

/// The words of each command on a line. Commands without a word are left out.
pub fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            ' ' | '\t' | '\r' => words.extend(word.take()),
            ';' => {
                words.extend(word.take());
                commands.push(std::mem::take(&mut words));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_part_commands_and_spaces_part_words() {
        assert_eq!(
            commands(" show  info;;set\tserver a/b weight 50%; "),
            [
                vec!["show", "info"],
                vec!["set", "server", "a/b", "weight", "50%"]
            ]
        );
        assert_eq!(commands("  \r"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_line_may_say_that_a_payload_follows() {
        assert_eq!(payload("diff x <<END\r"), ("diff x ", Some("END")));
        for line in ["show info", "diff x <<", "a << b"] {
            assert_eq!(payload(line), (line, None));
        }
    }

    #[test]
    fn a_backslash_keeps_what_follows() {
        assert_eq!(commands(r"a\;b c\ d \\ e\"), [["a;b", "c d", r"\", "e"]]);
    }
}
