package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// What a shell completes comes from the providers and the registry that the flags
// name so far; where those say nothing in time there is nothing to complete.

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeMethod completes Type.Method, as the first word.
func completeMethod(t *target) completion {
	return func(c *cobra.Command, args []string, begun string) (words []string, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if t.settle(c.Flags().Changed) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		r, err := t.open(c.Context(), "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer r.Close()
		providers, _, err := t.providers(c.Context(), r)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		f, err := t.fleet()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer f.Close()
		for service, methods := range f.services(c.Context(), f.probe(c.Context(), providers), strings.HasPrefix(begun, "sinew.")) {
			for method, o := range methods {
				if word := service + "." + method; strings.HasPrefix(word, begun) {
					words = append(words, word+"\t"+o.Request)
				}
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeApp completes applications.
func completeApp(t *target) completion {
	return func(c *cobra.Command, _ []string, begun string) (words []string, _ cobra.ShellCompDirective) {
		if location, err := t.location(); err == nil {
			if apps, err := t.apps(c.Context(), location); err == nil {
				words = beginning(apps, begun)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeProvider completes providers, as the registry names them.
func completeProvider(t *target) completion {
	return func(c *cobra.Command, _ []string, begun string) (words []string, _ cobra.ShellCompDirective) {
		if t.settle(c.Flags().Changed) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		r, err := t.open(c.Context(), "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer r.Close()
		providers, _, err := t.providers(c.Context(), r)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, p := range providers {
			words = append(words, p.ProviderKey)
		}
		return beginning(words, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

func beginning(words []string, begun string) (fit []string) {
	for _, word := range words {
		if strings.HasPrefix(word, begun) {
			fit = append(fit, word)
		}
	}
	return fit
}
