package caddymodule

// AliasCommand lets live tests run the command against their gateway.
var AliasCommand = aliasCommand
