// Package house holds the tests that keep the code in order: every exported name
// says what it is, and layers only point down.
package house
