//! The statements that the stand-in knows.

use super::types::Kind;

/// An error with its code.
pub type Refusal = (u32, String);

#[derive(Debug)]
pub enum Statement {
    Create {
        table: String,
        columns: Vec<(String, Kind)>,
        key: Vec<String>,
    },
    Select {
        table: String,
        columns: Vec<String>,
        by: Vec<String>,
        is_empty: bool,
    },
    Insert {
        table: String,
        columns: Vec<String>,
        conflict: Conflict,
    },
    Update {
        table: String,
        set: Vec<String>,
        by: Vec<String>,
    },
    Refresh {
        table: String,
    },
}

#[derive(Debug)]
pub enum Conflict {
    Error,
    Nothing {
        key: Vec<String>,
    },
    /// Each column is set to the new value where the version is greater.
    Newer {
        key: Vec<String>,
        set: Vec<String>,
        version: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Name(String),
    Sign(char),
}

/// Reads a statement.
pub fn parse(sql: &str) -> Result<Statement, Refusal> {
    let tokens = tokens(sql)?;
    let mut parser = Parser { tokens, next: 0 };
    let statement = parser.statement()?;
    if parser.next < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    Ok(statement)
}

fn tokens(sql: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut letters = sql.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => {}
            '"' => tokens.push(Token::Name(quoted(&mut letters)?)),
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                let mut word = letter.to_string();
                while let Some(letter) =
                    letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                {
                    word.push(letter);
                }
                tokens.push(Token::Word(word.to_ascii_uppercase()));
            }
            '(' | ')' | ',' | '.' | '?' | '=' | '>' => tokens.push(Token::Sign(letter)),
            letter => return Err((4000, format!("mismatched input {letter:?}"))),
        }
    }
    Ok(tokens)
}

fn quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, Refusal> {
    let mut name = String::new();
    loop {
        match letters.next() {
            Some('"') if letters.next_if_eq(&'"').is_some() => name.push('"'),
            Some('"') => return Ok(name),
            Some(letter) => name.push(letter),
            None => return Err((4000, "a name without its end".to_owned())),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn statement(&mut self) -> Result<Statement, Refusal> {
        let word = self.word()?;
        match word.as_str() {
            "CREATE" => self.create(),
            "SELECT" => self.select(),
            "INSERT" => self.insert(),
            "UPDATE" => self.update(),
            "REFRESH" => {
                self.words(&["TABLE"])?;
                let table = self.table()?;
                Ok(Statement::Refresh { table })
            }
            _ => Err((4000, format!("no viable alternative at input '{word}'"))),
        }
    }

    fn create(&mut self) -> Result<Statement, Refusal> {
        self.words(&["TABLE", "IF", "NOT", "EXISTS"])?;
        let table = self.table()?;
        self.sign('(')?;
        let mut columns = Vec::new();
        while !self.is_word("PRIMARY") {
            columns.push((self.name()?, self.kind()?));
            self.sign(',')?;
        }
        self.words(&["KEY"])?;
        let key = self.names()?;
        self.sign(')')?;
        Ok(Statement::Create {
            table,
            columns,
            key,
        })
    }

    fn kind(&mut self) -> Result<Kind, Refusal> {
        let word = self.word()?;
        Ok(match word.as_str() {
            "BOOLEAN" => Kind::Boolean,
            "BIGINT" => Kind::BigInt,
            "DOUBLE" => {
                self.words(&["PRECISION"])?;
                Kind::Double
            }
            "TEXT" => {
                let is_long = self.is_word("INDEX");
                if is_long {
                    self.words(&["OFF", "STORAGE", "WITH"])?;
                    self.sign('(')?;
                    self.words(&["COLUMNSTORE"])?;
                    self.sign('=')?;
                    self.words(&["FALSE"])?;
                    self.sign(')')?;
                }
                Kind::Text { is_long }
            }
            "TIMESTAMP" => {
                self.words(&["WITH", "TIME", "ZONE"])?;
                Kind::Timestamp
            }
            "OBJECT" => {
                self.sign('(')?;
                let policy = self.word()?;
                self.sign(')')?;
                Kind::object(&policy).ok_or((4000, format!("no policy {policy}")))?
            }
            "ARRAY" => {
                self.sign('(')?;
                let items = self.kind()?;
                self.sign(')')?;
                Kind::Array(Box::new(items))
            }
            word => return Err((4044, format!("Cannot find data type: {word}"))),
        })
    }

    fn select(&mut self) -> Result<Statement, Refusal> {
        let columns = self.list()?;
        self.words(&["FROM"])?;
        let table = self.table()?;
        let by = if self.is_word("WHERE") {
            self.equal()?
        } else {
            Vec::new()
        };
        let is_empty = self.is_word("LIMIT");
        if is_empty {
            self.words(&["0"])?;
        }
        Ok(Statement::Select {
            table,
            columns,
            by,
            is_empty,
        })
    }

    fn insert(&mut self) -> Result<Statement, Refusal> {
        self.words(&["INTO"])?;
        let table = self.table()?;
        let columns = self.names()?;
        self.words(&["VALUES"])?;
        self.sign('(')?;
        for index in 0..columns.len() {
            self.sign('?')?;
            self.sign(if index + 1 < columns.len() { ',' } else { ')' })?;
        }
        let conflict = if self.is_word("ON") {
            self.conflict()?
        } else {
            Conflict::Error
        };
        Ok(Statement::Insert {
            table,
            columns,
            conflict,
        })
    }

    fn conflict(&mut self) -> Result<Conflict, Refusal> {
        self.words(&["CONFLICT"])?;
        let key = self.names()?;
        self.words(&["DO"])?;
        if self.is_word("NOTHING") {
            return Ok(Conflict::Nothing { key });
        }
        self.words(&["UPDATE", "SET"])?;
        let mut set = Vec::new();
        loop {
            let column = self.name()?;
            self.sign('=')?;
            self.words(&["CASE", "WHEN"])?;
            let version = self.excluded()?;
            self.sign('>')?;
            self.this(&version)?;
            self.words(&["THEN"])?;
            let new = self.excluded()?;
            self.words(&["ELSE"])?;
            self.this(&column)?;
            self.words(&["END"])?;
            if new != column {
                return Err((
                    4000,
                    "the stand-in sets a column to its own new value only".to_owned(),
                ));
            }
            set.push(column);
            if !self.is_sign(',') {
                return Ok(Conflict::Newer { key, set, version });
            }
        }
    }

    fn excluded(&mut self) -> Result<String, Refusal> {
        self.words(&["EXCLUDED"])?;
        self.sign('.')?;
        self.name()
    }

    fn this(&mut self, column: &str) -> Result<(), Refusal> {
        let name = self.name()?;
        if name == column {
            Ok(())
        } else {
            Err((4043, format!("Column {name} unknown")))
        }
    }

    fn update(&mut self) -> Result<Statement, Refusal> {
        let table = self.table()?;
        self.words(&["SET"])?;
        let mut set = Vec::new();
        loop {
            set.push(self.name()?);
            self.sign('=')?;
            self.sign('?')?;
            if !self.is_sign(',') {
                break;
            }
        }
        self.words(&["WHERE"])?;
        let by = self.equal()?;
        Ok(Statement::Update { table, set, by })
    }

    fn equal(&mut self) -> Result<Vec<String>, Refusal> {
        let mut by = Vec::new();
        loop {
            by.push(self.name()?);
            self.sign('=')?;
            self.sign('?')?;
            if !self.is_word("AND") {
                return Ok(by);
            }
        }
    }

    fn table(&mut self) -> Result<String, Refusal> {
        let name = self.name()?;
        if self.is_sign('.') {
            return Ok(format!("{name}.{}", self.name()?));
        }
        Ok(format!("doc.{name}"))
    }

    fn names(&mut self) -> Result<Vec<String>, Refusal> {
        self.sign('(')?;
        let names = self.list()?;
        self.sign(')')?;
        Ok(names)
    }

    fn list(&mut self) -> Result<Vec<String>, Refusal> {
        let mut names = vec![self.name()?];
        while self.is_sign(',') {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn name(&mut self) -> Result<String, Refusal> {
        match self.tokens.get(self.next) {
            Some(Token::Name(name)) if !name.is_empty() => {
                self.next += 1;
                Ok(name.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.tokens.get(self.next) {
            Some(Token::Word(word)) => {
                self.next += 1;
                Ok(word.clone())
            }
            _ => Err(self.unexpected()),
        }
    }

    fn words(&mut self, words: &[&str]) -> Result<(), Refusal> {
        for word in words {
            if !self.is_word(word) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    fn is_word(&mut self, word: &str) -> bool {
        let is_so = matches!(self.tokens.get(self.next), Some(Token::Word(found)) if found == word);
        self.next += usize::from(is_so);
        is_so
    }

    fn is_sign(&mut self, sign: char) -> bool {
        let is_so = self.tokens.get(self.next) == Some(&Token::Sign(sign));
        self.next += usize::from(is_so);
        is_so
    }

    fn sign(&mut self, sign: char) -> Result<(), Refusal> {
        if self.is_sign(sign) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn unexpected(&self) -> Refusal {
        (
            4000,
            format!("mismatched input {:?}", self.tokens.get(self.next)),
        )
    }
}
